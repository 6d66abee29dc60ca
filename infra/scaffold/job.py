"""A new job type in a clone of Longshore: what is written, and what is changed. Decided first, then done.

Nothing is overwritten, and nothing is written unless everything can be.
"""

import builtins
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.scaffold.entries import NewType, in_examples, in_extras, in_lock, in_template, in_union
from infra.scaffold.texts import docs_text, handler_text, payload_text, test_text
from shared.errors import InvalidInput

NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
NAME_CHARACTERS_MAX: Final = 28
"""A longer handler's first line would be none any more."""

TAKEN: Final = frozenset({"base", "results", "handler", "job", "longshore", "outcome"})
"""Modules of `shared/payloads/` that are no types, and what the files of a job type call something else."""

LISTS: Final[Mapping[str, Callable[[str, NewType], str]]] = {
    "shared/payloads/__init__.py": in_union,
    "template.yaml": in_template,
    "infra/cli/commands/types.py": in_examples,
}
HEAVY_LISTS: Final[Mapping[str, Callable[[str, NewType], str]]] = {"pyproject.toml": in_extras, "Makefile": in_lock}


@dataclass(frozen=True, slots=True)
class Plan:
    """Texts by path: of files that are new, and of files as they will be."""

    new: Mapping[Path, str]
    changed: Mapping[Path, str]


def planned(root: Path, name: str, *, is_heavy: bool) -> Plan:
    """Raises InvalidInput about the name, or about the folder, or about a list that has another form."""
    if missing := [path for path in LISTS if not (root / path).is_file()]:
        message = f"{root} is not the root of a clone of Longshore: it has no {missing[0]}; git clone it, and cd there"
        raise InvalidInput("not_a_clone", message, field="the current folder")
    _check_name(root, name)
    new = NewType(name, is_heavy=is_heavy)
    texts = {
        f"shared/payloads/{name}.py": payload_text(new),
        f"handlers/jobs/{name}.py": handler_text(new),
        f"tests/handlers/test_{name}.py": test_text(new),
        f"docs/jobs/{name}.md": docs_text(new),
    }
    if is_heavy:
        texts[f"requirements/{name}/requirements.txt"] = (root / "requirements/core/requirements.txt").read_text()
    if there := [path for path in texts if (root / path).exists()]:
        message = f"{there[0]} is there already, and was not touched: take another name, or remove it"
        raise InvalidInput("already_there", message, field="NAME")
    lists = {**LISTS, **(HEAVY_LISTS if is_heavy else {})}
    return Plan(
        {root / path: text for path, text in texts.items()},
        {root / path: change((root / path).read_text(), new) for path, change in lists.items()},
    )


def write(plan: Plan) -> None:
    """All of it, or nothing. Raises OSError naming the file that cannot be written."""
    before = {path: path.read_text() for path in plan.changed}
    begun: list[Path] = []
    try:
        for path, text in {**plan.new, **plan.changed}.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            begun.append(path)
            path.write_text(text)
    except BaseException:
        for path in begun:
            _put_back(path, before.get(path))
        raise


def _put_back(path: Path, text: str | None) -> None:
    with suppress(OSError):  # it could not be written at all
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


def _check_name(root: Path, name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > NAME_CHARACTERS_MAX:
        expected = f"small letters, digits and single underscores, such as resize_image; up to {NAME_CHARACTERS_MAX}"
        raise InvalidInput("invalid_name", f"{name!r}: {expected}", field="NAME")
    whose = next((whose for whose, is_taken in _owners(root, name) if is_taken), None)
    if whose is not None:
        raise InvalidInput("name_taken", f"{name!r} is {whose}: take another name", field="NAME")


def _owners(root: Path, name: str) -> Iterator[tuple[str, bool]]:
    key = NewType(name).key
    resources = rf"^ {{2,6}}\"?{key}(?:Queue|Function|Logs|Role|Wakeup|Depth)\"?:|^    {key}:"
    yield "a job type already", (root / f"shared/payloads/{name}.py").exists() and name not in TAKEN
    yield "a word of Python's", keyword.iskeyword(name) or hasattr(builtins, name)
    yield "what pytest takes for a test", name.startswith("test")
    yield "something else in what is written", name in TAKEN
    yield (
        "something else in template.yaml",
        bool(re.search(resources, (root / "template.yaml").read_text(), re.MULTILINE)),
    )
