"""What kind of dish it is, by the words of its title and ingredients; each label with the word it is there for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Label:
    """`kind`: category or tag. `why`: `title: soup`, `ingredient: beef`, `note`"""

    kind: str
    label: str
    why: str


def _table(text: str) -> dict[str, str]:
    """word → label"""
    pairs = (entry.split(":") for entry in text.split("|"))
    return {word: label.strip() for label, words in pairs for word in words.split()}


CATEGORIES: Final = _table(
    "soup: soup soups stew stews chowder broth bisque ramen chili goulash | salad: salad salads slaw coleslaw | "
    "dessert: cake cakes cookie cookies brownie brownies pie pies tart pudding ice-cream cheesecake mousse dessert "
    "crumble cobbler cupcake cupcakes sorbet | bread: bread breads roll rolls bagel bagels focaccia loaf sourdough | "
    "breakfast: pancake pancakes waffle waffles omelette omelet porridge granola oatmeal breakfast | "
    "pasta: pasta spaghetti lasagne lasagna linguine penne macaroni ravioli gnocchi | pizza: pizza pizzas | "
    "drink: smoothie cocktail lemonade punch latte drink | sauce: sauce salsa pesto gravy dressing dip chutney | "
    "sandwich: sandwich sandwiches burger burgers wrap wraps taco tacos | curry: curry curries korma masala | "
    "casserole: casserole bake gratin"
)
"""A word of the title → the category."""

MAIN: Final = _table(
    "beef: beef steak brisket | chicken: chicken | pork: pork bacon ham prosciutto pancetta sausage sausages chorizo | "
    "lamb: lamb mutton | turkey: turkey | fish: fish salmon tuna cod anchovy anchovies trout haddock | "
    "seafood: shrimp shrimps prawn prawns crab lobster mussels clams oysters squid scallops | "
    "other meat: veal duck goose venison meat gelatin gelatine lard"
)
"""A word of an ingredient → the tag. Nothing of it: vegetarian."""

ANIMAL: Final = frozenset(
    {"milk", "cream", "butter", "cheese", "egg", "eggs", "yolk", "yolks", "honey", "yogurt", "yoghurt", "parmesan"}
    | {"mozzarella", "feta", "ricotta", "buttermilk", "ghee", "cheddar", "mascarpone", "mayonnaise", "custard"}
)


def labels_of(title: str, tags: Iterable[str], ingredients: Sequence[str], *, all_parsed: bool) -> list[Label]:
    """`ingredients`: their names. Of diets it speaks only if every line was understood, and no broth is in it."""
    found = [Label("tag", tag.strip().casefold(), "note") for tag in tags if tag.strip()]
    found += [Label("category", CATEGORIES[word], f"title: {word}") for word in _words(title) if word in CATEGORIES]
    words = {word for name in ingredients for word in _words(name)}
    found += [Label("tag", MAIN[word], f"ingredient: {word}") for word in sorted(words & MAIN.keys())]
    doubtful = words & {"stock", "broth", "bouillon", "worcestershire"}
    if all_parsed and ingredients and not words & MAIN.keys() and not doubtful:
        found.append(Label("tag", "vegetarian", "no meat or fish"))
        if not words & ANIMAL:
            found.append(Label("tag", "vegan", "nothing of an animal"))
    return list({(label.kind, label.label): label for label in reversed(found)}.values())[::-1]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())
