"""Where in a payload a text names a database or a file: the fields' own patterns say so. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final  # Any: JSON before it is validated, and JSON Schema

from shared.payloads import open_types
from shared.payloads.base import SHAPES, DatabaseRef
from shared.payloads.restore import ArtifactUrl
from shared.payloads.transcode import StoredUrl

Document = dict[str, Any]

Change = Callable[[str, str], str]
"""A field's path and its text → the text for it."""


def _pattern(alias: Any) -> str:
    return str(alias.__metadata__[0].pattern)


DATABASES: Final = frozenset({_pattern(DatabaseRef)})
FILES: Final = frozenset({_pattern(ArtifactUrl), _pattern(StoredUrl)})

WORDS: Final[Mapping[str, str]] = {
    SHAPES[_pattern(DatabaseRef)]: f"a path, {SHAPES[_pattern(DatabaseRef)]}",
    **{SHAPES[pattern]: f"{SHAPES[pattern]}, or @PATH, a file of yours, which is uploaded" for pattern in FILES},
}
"""What a field lets through → what may be typed for it."""


def changed(document: Document, patterns: frozenset[str], change: Change) -> Document:
    """The payload with `change` made to each text at a field of one of the patterns; in a flow's steps, too."""
    return _job(document, "", patterns, change)


def absolute(document: Document) -> Document:
    """The same payload with its databases' paths made absolute: a worker has another working directory."""
    return changed(document, DATABASES, lambda _, text: _absolute(text))


def _absolute(database: str) -> str:
    path = database.removeprefix("sqlite:///")
    if path == database and "://" in database:
        return database
    return f"sqlite:///{expanded(path).resolve()}"


def expanded(path: str) -> Path:
    """With `~` as the home that it stands for; of nobody's it is a name like others."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _job(document: Document, path: str, patterns: frozenset[str], change: Change) -> Document:
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in open_types():
        return document
    schema = _schema(kind)
    found: Document = _Change(schema.get("$defs", {}), patterns, change).made(schema, document, path)
    if kind != "flow" or not isinstance(steps := found.get("steps"), list):
        return found
    return found | {"steps": [_step(step, f"{path}steps.{n}.job.", patterns, change) for n, step in enumerate(steps)]}


def _step(step: Any, path: str, patterns: frozenset[str], change: Change) -> Any:
    job = step.get("job") if isinstance(step, dict) else None
    return step | {"job": _job(job, path, patterns, change)} if isinstance(job, dict) else step


@cache
def _schema(kind: str) -> Mapping[str, Any]:
    return open_types()[kind].model_json_schema()


@dataclass(frozen=True, slots=True)
class _Change:
    models: Mapping[str, Any]
    patterns: frozenset[str]
    change: Change

    def made(self, spec: Any, value: Any, path: str) -> Any:
        """`path`, with its dot, begins the names of what is below."""
        for one in self._options(spec):
            if isinstance(value, str) and one.get("pattern") in self.patterns:
                return self.change(path.removesuffix("."), value)
            if isinstance(value, list) and "items" in one:
                return [self.made(one["items"], item, f"{path}{number}.") for number, item in enumerate(value)]
            if isinstance(value, dict):
                fields, others = one.get("properties", {}), next(iter(one.get("patternProperties", {}).values()), None)
                specs = {name: fields.get(_snake(name), others) for name in value}
                value = {name: self.made(specs[name], item, f"{path}{name}.") for name, item in value.items()}
        return value

    def _options(self, spec: Any) -> list[Any]:
        """What a field may be; nothing, where anything goes."""
        options = spec.get("anyOf", [spec]) if isinstance(spec, dict) else []
        return [self.models.get(one.get("$ref", "").rpartition("/")[2], one) for one in options]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
