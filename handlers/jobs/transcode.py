"""`transcode`: one video, smaller or in another codec, into an MP4 file.

The source is put into a file without a name, for FFmpeg seeks in it; it is gone with the run, however that ends. The
MP4 goes to S3 while it is made.
"""

import asyncio
from dataclasses import asdict
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Final

from shared.errors import Permanent, Transient
from shared.media import video
from shared.payloads.download import file_name
from shared.payloads.results import Artifact, ProcessResult
from shared.payloads.transcode import TranscodePayload
from shared.runtime.calling import in_thread
from shared.runtime.context import ArtifactUpload, Context
from shared.runtime.definition import job

SOURCE_BYTES_MAX: Final = 500 * 1024**2
"""What a function's /tmp has room for: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

CLOSING_S: Final = 10.0
"""Left of a run's time when it is given up, to say why."""


@job(TranscodePayload)
async def transcode(payload: TranscodePayload, context: Context) -> ProcessResult:
    """The same payload makes the same bytes."""
    name = payload.name or f"{file_name(payload.source).rpartition('.')[0] or 'video'}-{payload.height}p.mp4"
    wanted = video.Wanted(payload.height, payload.codec, payload.bitrate_kbps, payload.audio)
    with TemporaryFile() as source:
        await _fetch(payload.source, context, source)
        async with context.artifacts.create(name) as upload:
            work = partial(video.transcode, source, _Target(upload), wanted, partial(_tell, context))
            made = await in_thread(work)
    return ProcessResult(
        data={"codec": payload.codec, **asdict(made)},
        artifact=Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256),
    )


async def _fetch(url: str, context: Context, source: IO[bytes]) -> None:
    async for chunk in context.artifacts.read(url, field="source"):
        if source.tell() + len(chunk) > SOURCE_BYTES_MAX:
            raise Permanent("too_large", f"more than {SOURCE_BYTES_MAX:,} bytes", field="source")
        source.write(chunk)


def _tell(context: Context, frames: int, frames_expected: int | None) -> None:
    """Between two packets, in the thread."""
    if context.cancelled:
        raise Transient("stopped", "told to stop")
    if context.time_left_s < CLOSING_S:
        raise Permanent("too_long", f"not done in one invocation: {frames:,} frames were", field="source")
    context.progress(frames, frames_expected and max(frames, frames_expected), message="frames")


class _Target:
    """In the thread, what is an upload in the loop."""

    def __init__(self, upload: ArtifactUpload) -> None:
        self._upload = upload
        self._loop = asyncio.get_running_loop()

    def write(self, chunk: bytes) -> int:
        asyncio.run_coroutine_threadsafe(self._upload.write(bytes(chunk)), self._loop).result()
        return len(chunk)


handler = transcode.lambda_handler
