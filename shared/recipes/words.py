"""What the grammar of recipes knows: numbers, units and phrases in English, as data."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """`name` in the singular. `base` is `ml`, `g`, `mm`, or nothing for what is only counted; `factor` of it make one.

    `vague`: said without a number, too (`pinch of salt`). `container`: has a size of its own (`1 (14 oz) can`).
    """

    name: str
    base: str = ""
    factor: float = 0.0
    vague: bool = False
    container: bool = False


def _in_order(text: str) -> list[str]:
    return text.split()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> list[tuple[str, ...]]:
    return [tuple(phrase.split()) for phrase in text.split("|")]


_MEASURED: Final = {
    # US customary volumes (NIST Handbook 44, appendix C) and avoirdupois weights
    Unit("teaspoon", "ml", 4.92892159375): "teaspoon teaspoons teasp tsp tsps tspn t teaspoonful teaspoonfuls",
    Unit(
        "tablespoon", "ml", 14.78676478125
    ): "tablespoon tablespoons tablesp tbsp tbsps tbspn tblsp tbs tbl tb T tablespoonful tablespoonfuls",
    Unit("dessertspoon", "ml", 10): "dessertspoon dessertspoons desertspoon desertspoons dsp dstspn",
    Unit("cup", "ml", 236.5882365): "cup cups c C cupful cupfuls",
    Unit("fluid ounce", "ml", 29.5735295625): "fluid_ounce fluid_ounces fl_oz fl_ozs floz fl_ounce fl_ounces",
    Unit("pint", "ml", 473.176473): "pint pints pt pts",
    Unit("quart", "ml", 946.352946): "quart quarts qt qts",
    Unit("gallon", "ml", 3785.411784): "gallon gallons gal gals",
    Unit("millilitre", "ml", 1): "ml mls mL millilitre millilitres milliliter milliliters cc",
    Unit("centilitre", "ml", 10): "cl centilitre centilitres centiliter centiliters",
    Unit("decilitre", "ml", 100): "dl decilitre decilitres deciliter deciliters",
    Unit("litre", "ml", 1000): "l L litre litres liter liters",
    Unit("ounce", "g", 28.349523125): "ounce ounces oz ozs",
    Unit("pound", "g", 453.59237): "pound pounds lb lbs",
    Unit("milligram", "g", 0.001): "mg milligram milligrams",
    Unit("gram", "g", 1): "g gr gm gms gram grams gramme grammes",
    Unit("kilogram", "g", 1000): "kg kgs kilo kilos kilogram kilograms",
    Unit("inch", "mm", 25.4): "inch inches in",
    Unit("centimetre", "mm", 10): "cm centimetre centimetres centimeter centimeters",
}

_COUNTED: Final = (
    "bag bags | bottle bottles | box boxes | can cans | carton cartons | container containers | jar jars | "
    "pack packs pk | package packages pkg pkgs | packet packets pkt pkts | pouch pouches | tin tins | tub tubs | "
    "tube tubes | block blocks | envelope envelopes env | bar bars | glass glasses | mug mugs | pot pots | "
    "punnet punnets | roll rolls | sachet sachets | sheet sheets | tray trays"
)
"""Containers."""

_PIECES: Final = (
    "bulb bulbs | bunch bunches | clove cloves | cube cubes | ear ears | fillet fillets filet filets | "
    "head heads | leaf leaves | loaf loaves | piece pieces pc pcs | rasher rashers | rib ribs | scoop scoops | "
    "rack racks | slice slices | sprig sprigs | square squares sq sqs | stalk stalks | stem stems | stick sticks | "
    "strip strips | wedge wedges"
)

_VAGUE: Final = (
    "dab dabs | dash dashes | dollop dollops | drizzle drizzles | drop drops | glug glugs | handful handfuls | "
    "knob knobs | pinch pinches | smidgen smidgens | splash splashes | sprinkle sprinkles | squeeze squeezes | "
    "squirt squirts | touch | grating gratings | grind grinds | grinding grindings | sprinkling | twist twists"
)


def _units() -> dict[str, Unit]:
    found = {word.replace("_", " "): unit for unit, words in _MEASURED.items() for word in words.split()}
    for text, vague, container in ((_COUNTED, False, True), (_PIECES, False, False), (_VAGUE, True, False)):
        for spellings in text.split("|"):
            words = spellings.split()
            found |= dict.fromkeys(words, Unit(words[0], vague=vague, container=container))
    return found


UNITS: Final = _units()
"""spelling → unit. `T` is a tablespoon, `t` a teaspoon; where that is no matter, it is in small letters."""

_UP_TO_NINETEEN: Final = _in_order(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS: Final = dict(
    zip(_in_order("twenty thirty forty fifty sixty seventy eighty ninety"), range(20, 100, 10), strict=True)
)

NUMBERS: Final = {
    **{word: Fraction(number) for number, word in enumerate(_UP_TO_NINETEEN, 1)},
    **{ten: Fraction(number) for ten, number in _TENS.items()},
    **{
        f"{ten}-{one}": Fraction(number + more)
        for ten, number in _TENS.items()
        for more, one in enumerate(_UP_TO_NINETEEN[:9], 1)
    },
}

PARTS: Final = {
    "half": Fraction(1, 2),
    "halves": Fraction(1, 2),
    "third": Fraction(1, 3),
    "thirds": Fraction(1, 3),
    "quarter": Fraction(1, 4),
    "quarters": Fraction(1, 4),
    "fourth": Fraction(1, 4),
    "fourths": Fraction(1, 4),
    "eighth": Fraction(1, 8),
    "eighths": Fraction(1, 8),
}

FEW: Final = frozenset({"few", "little", "bit", "several", "some", "couple"})
"""Amounts that nobody can put a number to; but for `a couple`."""

JOINED: Final = {
    **dict.fromkeys(("/", "or", "="), "equal amount"),
    **dict.fromkeys(("plus", "+", "and", "&"), "added amount"),
    **dict.fromkeys(("minus", "less"), "subtracted amount"),
}
"""Between two measures → what the second is to the first."""

COMPOUND: Final = frozenset(
    {("pound", "ounce"), ("kilogram", "gram"), ("litre", "millilitre"), ("gallon", "quart"), ("quart", "pint")}
    | {("pint", "fluid ounce"), ("cup", "tablespoon"), ("tablespoon", "teaspoon")}
)
"""Units that are one measure with nothing between them: `2 lb 4 oz`."""

NOT_UNITS: Final = frozenset(
    {"pot roast", "pot barley", "rib eye", "rib roast", "rib steak", "cube steak", "leaf lettuce", "clove powder"}
    | {"glass noodle", "bottle gourd", "bar cookie"}
)
"""Names that begin with the word of a unit."""

QUALIFIERS: Final = _words(
    "about approx approximately around ca circa generous generously heaped heaping level nearly almost "
    "rounded scant scanty roughly over"
)
"""Before an amount, or between it and its unit."""

SIZES: Final = _words(
    "small medium large big extra-large jumbo medium-size medium-sized small-size small-sized large-size large-sized "
    "medium-large tiny thick thin fat heaping heaped level rounded scant generous good med lg lge lrg sm sml"
)

PREPARED: Final = _words(
    "chopped minced sliced grated shredded melted softened sifted peeled toasted packed diced cubed crumbled beaten "
    "juiced pitted drained rinsed trimmed halved quartered"
)

HOW: Final = _words("finely coarsely roughly thinly freshly lightly firmly loosely tightly well thickly very gently")
"""Before a word like `chopped`; with it, also before these:"""

DONE: Final = PREPARED | frozenset({"ground", "cracked", "squeezed", "crushed", "pressed", "brewed", "cooked", "baked"})

QUALITIES: Final = (
    PREPARED
    | HOW
    | _words(
        "boneless skinless bone-in skin-on fresh ripe cold warm hot unsalted salted lean dried plain raw organic firm "
        "large medium small sharp mild seedless unsweetened low-fat fat-free reduced-fat whole thick thin crisp soft "
        "unpeeled uncooked cooked frozen good-quality free-range day-old dry"
    )
)
"""`boneless, skinless chicken`: a comma after nothing but these does not end the ingredient."""

PARTS_OF_IT: Final = _words("juice zest rind peel leaves seeds")
"""What of the ingredient is meant, if an amount follows: `juice of 1 lemon`, `zest and juice 1 lime`."""

TAILS: Final = {
    phrase: rule
    for rule, phrases in {
        "to taste": "to taste|or to taste|as needed|or as needed|as required|as desired|if desired|if needed|"
        "if necessary|if you like|as necessary|or as desired",
        "more or less": "or more|or less|plus more|plus extra|plus some|plus additional|or so|and more|and extra",
        "purpose": "for garnish|for serving|for frying|for deep-frying|for dusting|for greasing|for brushing|"
        "for drizzling|for rolling|for sprinkling|for decoration|for decorating|for topping|for garnishing|for coating|"
        "for the pan|for the top|for the topping|for sauteing|for cooking|for kneading|to serve|to garnish|to finish|"
        "to decorate|to grease|to dust|to sprinkle|to coat|to cover|to drizzle",
        "condition": "at room temperature|room temperature|optional|divided",
    }.items()
    for phrase in _phrases(phrases)
}
"""The beginning of what ends a description, commas or not."""

TAIL_STARTS: Final = frozenset(phrase[0] for phrase in TAILS)
TAIL_WORDS_MAX: Final = max(map(len, TAILS))
