"""Files of this machine for a job: `source=@people.csv`. Each is given a place in the bucket, and put there."""

import re
from pathlib import Path
from typing import Final

from infra.cli.client import Jobs
from infra.cli.http_client import put
from infra.cli.places import FILES, Document, changed, expanded
from shared.errors import InvalidInput
from shared.runtime.api.system import UploadPlace

NAME_CHARACTERS_MAX: Final = 128


def files_in(document: Document) -> tuple[Document, dict[str, Path]]:
    """→ the payload with a URL that stands for each of our files, and which is whose. Raises InvalidInput, naming the
    field, for a file that cannot be read or holds nothing."""
    files: dict[str, Path] = {}

    def found(field: str, text: str) -> str:
        if not text.startswith("@"):
            return text
        path = expanded(text[1:])
        if not path.is_file():
            raise InvalidInput("no_such_file", f"there is no file {str(path)!r} here", field=field)
        if not path.stat().st_size:
            raise InvalidInput("empty_file", f"{str(path)!r} holds nothing", field=field)
        url = f"s3://uploads/{len(files)}/{_name(path)}"
        files[url] = path
        return url

    return changed(document, FILES, found), files


async def uploaded(jobs: Jobs, document: Document, files: dict[str, Path]) -> Document:
    """The payload with their places, where they are by now. Raises WorldFault."""
    places: dict[str, str] = {}
    for url, path in files.items():
        asked: Document = {"name": _name(path), "size_bytes": path.stat().st_size}
        place = await jobs.ask(UploadPlace, "POST", "/uploads", document=asked)
        await put(place.href, path)
        places[url] = place.url
    return changed(document, FILES, lambda _, text: places.get(text, text))


def _name(path: Path) -> str:
    """As a place may be called; its end, which tells what it is, is kept."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", path.name)[-NAME_CHARACTERS_MAX:]
    return re.sub(r"^[^A-Za-z0-9]+", "", plain) or "file"
