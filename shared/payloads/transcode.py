"""`transcode`: one video, smaller or in another codec, into an MP4 file."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.payloads.base import Payload, shaped
from shared.payloads.extract import OutputPath
from shared.retry import Policy

StoredUrl = Annotated[str, shaped(r"^s3://[^\s]+$", "an s3:// URL, as results name files", max_length=2048)]
"""A file of the tenant's own, as results name it."""


class TranscodePayload(Payload):
    """`height` in pixels, of which a smaller source gets no more than it has; without `bitrate_kbps` the picture's
    quality is kept and the bitrate follows."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["transcode"] = "transcode"
    source: StoredUrl
    height: Annotated[int, Field(ge=144, le=2160)]
    codec: Literal["h264", "hevc", "vp9"] = "h264"
    bitrate_kbps: Annotated[int, Field(ge=50, le=50_000)] | None = None
    audio: bool = True
    name: OutputPath | None = None
