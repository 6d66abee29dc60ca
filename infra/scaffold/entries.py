"""Entries of a new job type in the files that list them all. Text in, text out: what is there is left as it is.

Raises InvalidInput, naming the file, where a list is not found: somebody has changed its form.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class NewType:
    """`name` as in payloads: `resize_image`. `is_heavy`: with libraries of its own, and minutes of work."""

    name: str
    is_heavy: bool = False

    @property
    def key(self) -> str:
        """In the template: `ResizeImage`."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def model(self) -> str:
        return f"{self.key}Payload"

    @property
    def timeout_s(self) -> int:
        return 300 if self.is_heavy else 60


def in_union(text: str, new: NewType) -> str:
    """`shared/payloads/__init__.py`."""
    where = "shared/payloads/__init__.py"
    line = f"from shared.payloads.{new.name} import {new.model}\n"
    text = _in_order(text, r"(?:^from shared\.payloads\.\w+ import [\w, ]+\n)+", line, where)
    union = r"(?<=AnyPayload = Annotated\[\n)(?: +(?:\| )?\w+Payload(?:,(?=\n))?\n)+"

    def with_model(found: str) -> str:
        models = sorted({*re.findall(r"\w+Payload", found), new.model})
        return "    " + "\n    | ".join(models) + ",\n"

    return _changed(text, union, with_model, where)


def in_template(text: str, new: NewType) -> str:
    """`template.yaml`: the type's numbers, its turn of the loop, what its memory costs."""
    entry = ENTRY.format(
        key=new.key,
        name=new.name,
        libraries=new.name if new.is_heavy else "core",
        timeout_s=new.timeout_s + 15,
        memory_mb=1769 if new.is_heavy else 512,
        batch=1 if new.is_heavy else 10,
        visibility_s=new.timeout_s + 45,
    )
    text = _changed(text, r"(?<=\n  JobTypes:\n)(?: {4}.*\n)+", lambda found: found + entry, "template.yaml")
    turns = r"(?<=  Fn::ForEach::JobTypes:\n    - Type\n    - \[)[\w, ]+(?=\])"
    text = _changed(text, turns, lambda found: f"{found}, {new.key}", "template.yaml")
    sizes = r"(?<=LONGSHORE_MEMORY_MB: !Sub)[^\n]*\n +- \"[^\"]*(?=\")"
    text = _changed(text, sizes, lambda found: f"{found},{new.name}=${{{new.key}}}", "template.yaml")
    size = f"            {new.key}: !FindInMap [JobTypes, {new.key}, MemorySize]\n"
    lookups = r"(?: {10}[ -] \w+: !FindInMap \[JobTypes, \w+, MemorySize\]\n)+"
    return _changed(text, lookups, lambda found: found + size, "template.yaml")


def in_examples(text: str, new: NewType) -> str:
    """`infra/cli/commands/types.py`: what `longshore types` shows."""
    line = f'    "{new.name}": ("text=\'a few words\'",),\n'
    return _changed(text, r"(?<=EXAMPLES: Final = \{\n)", lambda found: line + found, "infra/cli/commands/types.py")


def in_extras(text: str, new: NewType) -> str:
    """`pyproject.toml`: a group of libraries of its own, empty as yet."""
    groups = r"(?<=\[project\.optional-dependencies\]\n)(?:.+\n)+"
    return _changed(text, groups, lambda found: f"{found}{new.name} = []\n", "pyproject.toml")


def in_lock(text: str, new: NewType) -> str:
    """`Makefile`: its libraries are locked with the others."""
    text = _changed(text, r"(?:--extra \w+ )+(?=--group dev)", lambda found: f"{found}--extra {new.name} ", "Makefile")
    line = f"\t$(LOCK_BUNDLE) --extra {new.name} pyproject.toml -o requirements/{new.name}/requirements.txt\n"
    return _changed(text, r"(?:\t\$\(LOCK_BUNDLE\) .*\n)+", lambda found: found + line, "Makefile")


ENTRY = """\
    {key}:
      Name: {name}
      Code: requirements/{libraries}
      FunctionTimeout: {timeout_s}
      MemorySize: {memory_mb}
      BatchSize: {batch}
      BatchWindow: 0
      MaximumConcurrency: 10
      Visibility: {visibility_s}
"""


def _in_order(text: str, lines: str, line: str, where: str) -> str:
    return _changed(text, lines, lambda found: "".join(sorted({*found.splitlines(keepends=True), line})), where)


def _changed(text: str, pattern: str, change: Callable[[str], str], where: str) -> str:
    """The first place that matches, changed."""
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise InvalidInput("not_found", f"found no place for the new type: /{pattern}/", field=where)
    return text[: found.start()] + change(found[0]) + text[found.end() :]
