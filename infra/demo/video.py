"""The sample video: a pattern that moves and a tone, made here, the same bytes every time."""

from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.video.frame import PictureType, VideoFrame

RATE = 25
SAMPLES_PER_S = 48_000
BITS_PER_S = 2_000_000


def generate(path: Path, seconds: int = 4, size: tuple[int, int] = (640, 360)) -> None:
    """Write an MP4 file (H.264 and AAC) of about 270 kB a second. `size`: width and height in pixels, both even."""
    width, height = size
    pattern = f"testsrc2=size={width}x{height}:rate={RATE}:duration={seconds}[out0]"
    tone = f"sine=frequency=440:sample_rate={SAMPLES_PER_S}:duration={seconds}[out1]"
    options = {"movflags": "faststart"}
    with (
        av.open(f"{pattern};{tone}", format="lavfi") as made,
        av.open(str(path), "w", format="mp4", options=options) as file,
    ):
        filled_up = {"preset": "veryfast", "nal-hrd": "cbr", "maxrate": str(BITS_PER_S), "bufsize": str(BITS_PER_S)}
        picture = file.add_stream("libx264", rate=RATE, options=filled_up)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.codec_context.bit_rate, picture.codec_context.thread_count = BITS_PER_S, 1
        sound = file.add_stream("aac", rate=SAMPLES_PER_S, layout="mono")
        for packet in made.demux(made.streams.video[0], made.streams.audio[0]):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    frame.pict_type = PictureType.NONE  # the pattern calls every frame a keyframe
                    file.mux(picture.encode(frame))
                elif isinstance(frame, AudioFrame):
                    file.mux(sound.encode(frame))
        file.mux(picture.encode())
        file.mux(sound.encode())
