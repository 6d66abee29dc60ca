"""`download`: one file from elsewhere, or from among the tenant's own, into an artefact."""

import re
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from shared.payloads.base import Payload, shaped
from shared.payloads.extract import OutputPath
from shared.payloads.restore import ArtifactUrl
from shared.retry import Policy

SIZE_BYTES_MAX: Final = 5 * 1024**3

MediaType = Annotated[
    str,
    shaped(
        r"^[a-z0-9][a-z0-9.+-]*/(\*|[a-z0-9][a-z0-9.+-]*)$", "a media type such as video/mp4 or video/*", max_length=128
    ),
]
"""`video/mp4`, or `video/*` for all of a kind: RFC 9110 §12.5.1"""


class DownloadPayload(Payload):
    """`size_bytes_max`: more is refused, whatever the server says; `media_types`: one of them it must say."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["download"] = "download"
    url: ArtifactUrl
    name: OutputPath | None = None
    size_bytes_max: Annotated[int, Field(ge=1, le=SIZE_BYTES_MAX)] = 1024**3
    media_types: Annotated[tuple[MediaType, ...], Field(max_length=16)] = ()


def file_name(url: str) -> str:
    """The end of a URL's path as a name that a file may have: `file` if nothing is left of it."""
    end = unquote(urlsplit(url).path.rpartition("/")[2])
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", end).lstrip("_.=-")[:100] or "file"
