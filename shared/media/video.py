"""One video made into another: read, scaled and encoded frame by frame, in memory that doesn't grow with its length.

Rules of this file:
1. The source is hostile. Formats are named one by one, for a playlist would have FFmpeg open what it names; a frame has
   a largest size, which decoders know before they take memory for it; whatever FFmpeg can't read is Permanent.
2. The target is only ever written to, never sought in: a fragmented MP4, which browsers play while it arrives.
3. The same source makes the same bytes: encoders have one thread, and no file tells when it was made.
4. Times are the source's own, from zero on, so that what varies its frame rate keeps it; so is what its colours mean.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Final, Literal, Protocol

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from shared.errors import Permanent

PIXELS_MAX: Final = 4096 * 2304
"""Of one frame: 4K. A decoder keeps up to 16 of them."""

FORMATS: Final = "mov,matroska,avi,mpegts,mpeg,flv"
"""By FFmpeg's names; `mov` is MP4 too, and `matroska` WebM."""

CHUNK_BYTES: Final = 1 << 20
RATES: Final = (Fraction(1), Fraction(240))
KEYFRAME_EVERY_S: Final = 2
AUDIO_HZ: Final = 48_000
AUDIO_BITS_PER_S: Final = 128_000

WHOLE_SHARE: Final = Fraction(9, 10)
WHOLE_WITHIN_S: Final = 1
"""A file is whole if nine tenths of what it promises are there, but for a second: tracks are cut where packets end."""

_LIMITS: Final = {"max_pixels": str(PIXELS_MAX)}
_READING: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none", **_LIMITS}
_WRITING: Final = {"movflags": "frag_keyframe+empty_moov+default_base_moof+delay_moov"}
"""https://ffmpeg.org/ffmpeg-formats.html"""


@dataclass(frozen=True, slots=True)
class Codec:
    """FFmpeg's encoder with its options, those for a constant quality, and the tag that players know the codec by."""

    encoder: Literal["libx264", "libx265", "libvpx-vp9"]
    options: dict[str, str]
    constant_quality: dict[str, str]
    tag: str


CODECS: Final = {
    "h264": Codec("libx264", {"preset": "veryfast"}, {"crf": "23"}, "avc1"),
    "hevc": Codec(
        "libx265",
        {"preset": "superfast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
        {"crf": "28"},
        "hvc1",
    ),
    "vp9": Codec("libvpx-vp9", {"deadline": "realtime", "cpu-used": "6"}, {"crf": "33"}, "vp09"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """`height` in pixels, as it is shown; never more than the source has."""

    height: int
    codec: str
    bitrate_kbps: int | None
    audio: bool


@dataclass(frozen=True, slots=True)
class Made:
    """What came out; `width` and `height` as they are shown."""

    width: int
    height: int
    duration_s: float
    frames: int
    audio: bool


class Target(Protocol):
    def write(self, chunk: bytes, /) -> int: ...


Tell = Callable[[int, int | None], None]
"""Called with every packet: how many frames there are by now, and how many there will be, if that is known. What it
raises ends the work."""


def transcode(source: BinaryIO, target: Target, wanted: Wanted, tell: Tell) -> Made:
    """Read `source`, in which it seeks, and write an MP4 file to `target`, in chunks of at most 1 MiB.

    Raises Permanent("not_a_video", "no_video", "too_large", "damaged_video") about `source`, and what `source`,
    `target` and `tell` raise.
    """
    shape, outlet = _shape(source, wanted), _Outlet(target)
    with (
        outlet.blamed(),
        _opened(source) as inside,
        av.open(outlet, "w", format="mp4", options=_WRITING, buffer_size=CHUNK_BYTES) as outside,
    ):
        work = _Work(inside, outside, shape, wanted)
        with _readable("damaged_video"):
            for packet in inside.demux(*work.tracks):
                for frame in packet.decode():
                    work.take(frame)
                tell(work.frames, work.frames_expected)
            return work.finish()


class _Outlet:
    """FFmpeg fails once more where a file whose target has failed is closed, and would be taken for the cause."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._error: Exception | None = None

    def write(self, chunk: bytes) -> int:
        try:
            return self._target.write(chunk)
        except Exception as error:
            self._error = error
            raise

    @contextmanager
    def blamed(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, Permanent):
            if self._error is not None:
                raise self._error from None
            raise


# --- the source -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """Of the frames to make, and how they are turned to be shown, in degrees."""

    width: int
    height: int
    rotation: int
    like: VideoFrame
    """What colours mean is as in this frame."""

    @property
    def shown(self) -> tuple[int, int]:
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)


def _shape(source: BinaryIO, wanted: Wanted) -> _Shape:
    """By its first frame: only that tells how it is turned."""
    with _opened(source) as inside, _readable("damaged_video"):
        picture = _picture(inside)
        first = next((frame for packet in inside.demux(picture) for frame in packet.decode()), None)
        if first is None:
            raise _damaged("there is no frame in it")
        wide, high = first.width * (picture.sample_aspect_ratio or Fraction(1)), Fraction(first.height)
        scale = min(Fraction(1), wanted.height / (wide if first.rotation % 180 else high))
        shape = _Shape(_even(wide * scale), _even(high * scale), first.rotation, first)
        _check_size(shape.width, shape.height)
        return shape


@contextmanager
def _opened(source: BinaryIO) -> Iterator[InputContainer]:
    source.seek(0)
    with _readable("not_a_video"):
        inside = av.open(source, "r", options=_READING)
    with inside:
        yield inside


def _picture(inside: InputContainer) -> VideoStream:
    """The first track of frames that can be read, and is not the picture on an album's cover."""
    pictures = (one for one in inside.streams.video if not one.disposition & Disposition.attached_pic)
    picture = next(filter(_has_decoder, pictures), None)
    if picture is None:
        raise Permanent("no_video", "the file has no video track that can be read", field="source")
    _check_size(picture.width, picture.height)
    picture.codec_context.options = _LIMITS
    return picture


def _sound(inside: InputContainer) -> AudioStream | None:
    return next(filter(_has_decoder, inside.streams.audio), None)


def _has_decoder(track: VideoStream | AudioStream) -> bool:
    """PyAV's own types don't tell that a track of an unknown codec has no context."""
    return track.codec_context is not None


def _check_size(width: int, height: int) -> None:
    if width * height > PIXELS_MAX:
        raise Permanent("too_large", f"{width} × {height} pixels; at most {PIXELS_MAX:,} in all", field="source")


def _even(pixels: Fraction) -> int:
    """Two pixels share their colour: https://en.wikipedia.org/wiki/Chroma_subsampling"""
    return max(2, round(pixels / 2) * 2)


@contextmanager
def _readable(code: str) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise Permanent(code, f"FFmpeg can't read it: {error.strerror}", field="source") from None


def _damaged(why: str) -> Permanent:
    return Permanent("damaged_video", why, field="source")


# --- the work ---------------------------------------------------------------------------------------------------------


class _Work:
    """From the packets of one file to those of the other."""

    def __init__(self, inside: InputContainer, outside: OutputContainer, shape: _Shape, wanted: Wanted) -> None:
        picture, sound = _picture(inside), _sound(inside) if wanted.audio else None
        self.tracks = [picture, sound] if sound else [picture]
        promised = [one.duration * one.time_base for one in self.tracks if one.duration and one.time_base]
        self._promised_s = max(promised, default=Fraction(0))
        self._rate = min(max(picture.guessed_rate or Fraction(25), RATES[0]), RATES[1])
        self.frames = 0
        self.frames_expected = picture.frames or round(self._promised_s * self._rate) or None
        self._begins_s = Fraction(inside.start_time or 0, 1_000_000)
        self._shape = shape
        self._outside = outside
        self._picture = self._picture_track(picture, wanted)
        self._sound = self._sound_track() if sound else None
        self._last: dict[type, int] = {}
        self._reached_s = Fraction(0)

    def take(self, frame: object) -> None:
        if not isinstance(frame, VideoFrame | AudioFrame) or not self._is_next(frame):
            return
        if isinstance(frame, VideoFrame):
            self.frames += 1
            scaled = frame.reformat(self._shape.width, self._shape.height, "yuv420p")
            scaled.pict_type = PictureType.NONE  # where keyframes stand is for the encoder to choose
            self._outside.mux(self._picture.encode(scaled))
        elif self._sound is not None:
            self._outside.mux(self._sound.encode(frame))

    def finish(self) -> Made:
        for track in (self._picture, self._sound):
            if track is not None:
                self._outside.mux(track.encode(None))
        if self._reached_s < self._promised_s * WHOLE_SHARE - WHOLE_WITHIN_S:
            raise _damaged(f"it ends after {float(self._reached_s):.1f} s of {float(self._promised_s):.1f}")
        return Made(*self._shape.shown, round(float(self._reached_s), 3), self.frames, self._sound is not None)

    def _is_next(self, frame: VideoFrame | AudioFrame) -> bool:
        """Give it its time from zero on. One without a time, or from the past, is left out: players would stumble."""
        if frame.pts is None or frame.time_base is None:
            return False
        frame.pts -= round(self._begins_s / frame.time_base)
        if frame.pts <= self._last.get(type(frame), -1):
            return False
        self._last[type(frame)] = frame.pts
        self._reached_s = max(self._reached_s, (frame.pts + frame.duration) * frame.time_base)
        return True

    def _picture_track(self, picture: VideoStream, wanted: Wanted) -> VideoStream:
        codec = CODECS[wanted.codec]
        options = codec.options | ({} if wanted.bitrate_kbps else codec.constant_quality)
        track = self._outside.add_stream(codec.encoder, rate=self._rate, options=options)
        track.width, track.height, track.pix_fmt = self._shape.width, self._shape.height, "yuv420p"
        context, like = track.codec_context, self._shape.like
        context.codec_tag, context.thread_count = codec.tag, 1
        context.time_base = picture.time_base or 1 / self._rate
        context.gop_size = round(self._rate * KEYFRAME_EVERY_S)
        context.bit_rate = 1000 * (wanted.bitrate_kbps or 0)
        context.colorspace, context.color_range = like.colorspace, like.color_range
        context.color_trc, context.color_primaries = like.color_trc, like.color_primaries
        track.set_display_rotation(self._shape.rotation)
        return track

    def _sound_track(self) -> AudioStream:
        track = self._outside.add_stream("aac", rate=AUDIO_HZ, layout="stereo")
        track.codec_context.bit_rate = AUDIO_BITS_PER_S
        return track
