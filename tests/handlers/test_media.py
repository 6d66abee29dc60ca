"""`download`, `transcode`, `upload`: a video's way, with files made here and a server of our own."""

import asyncio
import io
import itertools
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from aiohttp import web

from handlers.jobs import transcode as transcode_job
from infra.demo.video import generate
from shared.errors import LongshoreError, Permanent, Transient, WorldFault
from shared.media import video
from shared.net import transfer
from shared.payloads.download import DownloadPayload, file_name
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.run import Stop
from tests.databases import Jobs
from tests.https import Answer, loopback, serving

MINE = "artifacts/default/uploads/1/"
URL = f"s3://memory/{MINE}"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of 320 × 180."""
    path = tmp_path_factory.mktemp("video") / "sample.mp4"
    generate(path, 2, (320, 180))
    return path.read_bytes()


@pytest.fixture
def jobs(sample: bytes) -> Jobs:
    jobs = Jobs()
    jobs.bodies[f"{MINE}sample.mp4"] = sample
    return jobs


def looked_at(body: bytes) -> tuple[int, int, int, float, list[str]]:
    """→ width and height of the frames, how many, seconds, codecs"""
    with av.open(io.BytesIO(body)) as found:
        frames = list(found.decode(video=0))
        codecs = sorted(track.codec_context.name for track in found.streams)
        return frames[0].width, frames[0].height, len(frames), round((found.duration or 0) / 1e6, 1), codecs


def made(jobs: Jobs, result: ProcessResult) -> bytes:
    assert result.artifact is not None
    return jobs.body(result.artifact.url)


def encoded(form: str, width: int, height: int, **track: Any) -> bytes:  # Any: whatever the track has
    """Three grey frames."""
    body = io.BytesIO()
    with av.open(body, "w", format=form) as file:
        picture = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        for name, value in track.items():
            setattr(picture.codec_context, name, value)
        for _ in range(3):
            file.mux(picture.encode(av.VideoFrame(width, height, "yuv420p")))
        file.mux(picture.encode())
    return body.getvalue()


# --- transcode --------------------------------------------------------------------------------------------------------


def test_the_sample_is_the_same_bytes_every_time(sample: bytes, tmp_path: Path) -> None:
    generate(tmp_path / "again.mp4", 2, (320, 180))
    assert (tmp_path / "again.mp4").read_bytes() == sample
    assert looked_at(sample) == (320, 180, 50, 2.0, ["aac", "h264"])


@pytest.mark.parametrize("codec", list(video.CODECS))
@pytest.mark.parametrize("bitrate_kbps", [None, 200])
def test_the_same_source_makes_the_same_bytes(jobs: Jobs, codec: str, bitrate_kbps: int | None) -> None:
    wanted = {"source": f"{URL}sample.mp4", "height": 144, "codec": codec, "bitrate_kbps": bitrate_kbps}
    first, second = jobs.run("transcode", **wanted), jobs.run("transcode", **wanted)
    assert made(jobs, first) == made(jobs, second)
    assert looked_at(made(jobs, first)) == (256, 144, 50, 2.0, sorted(["aac", codec]))
    assert first.data == {
        "codec": codec,
        "width": 256,
        "height": 144,
        "duration_s": 2.0,
        "frames": 50,
        "audio": True,
    }
    assert first.artifact is not None
    assert first.artifact.url.endswith("/sample-144p.mp4")
    assert codec != "h264" or b" threads=1 " in made(jobs, first), "as many as there are cores would be other bytes"


def test_a_video_is_written_while_it_is_made_in_small_chunks(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(video, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(video, "KEYFRAME_EVERY_S", Fraction(1, 5))
    chunks: list[tuple[int, int]] = []
    frames = 0

    class Target:
        def write(self, chunk: bytes) -> int:
            chunks.append((frames, len(chunk)))
            return len(chunk)

    def tell(now: int, _expected: int | None) -> None:
        nonlocal frames
        frames = now

    source = io.BytesIO(jobs.bodies[f"{MINE}sample.mp4"])
    video.transcode(source, Target(), video.Wanted(180, "h264", None, audio=True), tell)
    assert chunks[0][0] < 25, "long before the last of 50 frames"
    assert max(size for _, size in chunks) <= 4096


@pytest.mark.parametrize("nth", [1, 2, 3, 10])
def test_a_bucket_that_fails_is_not_the_videos_fault(sample: bytes, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    monkeypatch.setattr(video, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(video, "KEYFRAME_EVERY_S", Fraction(1, 5))
    numbers = itertools.count(1)

    class Throttled:
        def write(self, chunk: bytes) -> int:
            if next(numbers) >= nth:
                raise WorldFault("throttled", "come again")
            return len(chunk)

    with pytest.raises(WorldFault, match="throttled"):
        video.transcode(io.BytesIO(sample), Throttled(), video.Wanted(144, "h264", None, audio=True), lambda *_: None)


def test_progress_counts_frames(jobs: Jobs) -> None:
    jobs.run("transcode", source=f"{URL}sample.mp4", height=144)
    assert '"current":50,"total":50' in (jobs.runs[-1].progress or "")


def test_a_video_is_never_enlarged_and_may_lose_its_sound(jobs: Jobs) -> None:
    result = jobs.run("transcode", source=f"{URL}sample.mp4", height=2160, audio=False, name="out/mute.mp4")
    assert looked_at(made(jobs, result)) == (320, 180, 50, 2.0, ["h264"])
    assert result.artifact is not None
    assert result.artifact.url.endswith("/out/mute.mp4")


def test_a_video_that_is_turned_to_be_shown_stays_turned(jobs: Jobs, sample: bytes) -> None:
    """Phones hold the camera's picture and an angle; the height that is asked for is that of what people see."""
    turned = io.BytesIO()
    with av.open(io.BytesIO(sample)) as inside, av.open(turned, "w", format="mp4") as file:
        track = file.add_stream_from_template(inside.streams.video[0])
        track.set_display_rotation(90)
        for packet in inside.demux(inside.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                file.mux(packet)
    jobs.bodies[f"{MINE}turned.mp4"] = turned.getvalue()
    result = jobs.run("transcode", source=f"{URL}turned.mp4", height=160)
    assert (result.data["width"], result.data["height"]) == (90, 160)
    with av.open(io.BytesIO(made(jobs, result))) as found:
        frame = next(found.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (160, 90, 90)


def test_a_broadcast_that_began_long_before_begins_at_zero(jobs: Jobs, sample: bytes) -> None:
    stream = io.BytesIO()
    with av.open(io.BytesIO(sample)) as inside, av.open(stream, "w", format="mpegts") as file:
        track = file.add_stream_from_template(inside.streams.video[0])
        for packet in inside.demux(inside.streams.video[0]):
            if packet.pts is not None and packet.dts is not None and packet.time_base is not None:
                packet.stream = track
                packet.pts, packet.dts = (at + round(3600 / packet.time_base) for at in (packet.pts, packet.dts))
                file.mux(packet)
    jobs.bodies[f"{MINE}air.ts"] = stream.getvalue()
    result = jobs.run("transcode", source=f"{URL}air.ts", height=180)
    assert result.data["duration_s"] == 2.0


# --- hostile sources --------------------------------------------------------------------------------------------------


def album(sample: bytes) -> bytes:
    """Sound alone."""
    body = io.BytesIO()
    with av.open(io.BytesIO(sample)) as inside, av.open(body, "w", format="mp4") as file:
        track = file.add_stream_from_template(inside.streams.audio[0])
        for packet in inside.demux(inside.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                file.mux(packet)
    return body.getvalue()


def half_way_between_packets(sample: bytes) -> bytes:
    with av.open(io.BytesIO(sample)) as inside:
        ends = sorted(packet.pos + packet.size for packet in inside.demux() if packet.pos)
    return sample[: ends[len(ends) // 4]]


def in_fragments(sample: bytes) -> bytes:
    target = io.BytesIO()
    video.transcode(io.BytesIO(sample), target, video.Wanted(144, "h264", None, audio=True), lambda *_: None)
    return target.getvalue()


def promising(width: int, height: int, sample: bytes) -> bytes:
    """Of a container that lies about its frames: they are what their codec says."""
    at = sample.index(b"avc1", 100) + 28
    return sample[:at] + struct.pack(">HH", width, height) + sample[at + 4 :]


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _: b"", "not_a_video"),
    "a text": (lambda _: b"no video at all\n" * 1000, "not_a_video"),
    "a head": (lambda sample: sample[:1000], "not_a_video"),
    "sound": (album, "no_video"),
    "cut within a packet": (lambda sample: sample[: len(sample) // 2], "damaged_video"),
    "cut between packets": (half_way_between_packets, "damaged_video"),
    "cut within a fragment": (lambda sample: in_fragments(sample)[:-5000], "damaged_video"),
    "noise": (lambda sample: sample[:-40_000] + bytes(40_000), "damaged_video"),
    "frames beyond 4K": (lambda _: encoded("matroska", 4098, 2304), "too_large"),
    "such frames after small ones": (
        lambda _: b"".join(encoded("mpegts", *size) for size in [(320, 180)] * 60 + [(4098, 2304)]),
        "damaged_video",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_source_that_is_no_good_video_is_told_and_leaves_nothing(jobs: Jobs, sample: bytes, kind: str) -> None:
    spoil, code = HOSTILE[kind]
    jobs.bodies[f"{MINE}bad.mp4"] = spoil(sample)
    error = jobs.fail("transcode", source=f"{URL}bad.mp4", height=180)
    assert (error.code, error.field, type(error)) == (code, "source", Permanent)
    assert set(jobs.bodies) == {f"{MINE}sample.mp4", f"{MINE}bad.mp4"}


def test_what_a_container_says_of_its_frames_is_not_believed(jobs: Jobs, sample: bytes) -> None:
    jobs.bodies[f"{MINE}lies.mp4"] = promising(65535, 65535, sample)
    assert jobs.run("transcode", source=f"{URL}lies.mp4", height=144).data["height"] == 144


def test_a_playlist_opens_nothing_on_this_machine(
    jobs: Jobs, sample: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "private.mp4").write_bytes(sample)
    monkeypatch.chdir(tmp_path)
    jobs.bodies[f"{MINE}list.mp4"] = b"ffconcat version 1.0\nfile private.mp4\n"
    assert jobs.fail("transcode", source=f"{URL}list.mp4", height=180).code == "not_a_video"


def test_more_than_a_function_has_room_for_is_refused(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcode_job, "SOURCE_BYTES_MAX", 10_000)
    error = jobs.fail("transcode", source=f"{URL}sample.mp4", height=180)
    assert (error.code, error.field) == ("too_large", "source")


@pytest.mark.parametrize("url", ["s3://memory/artifacts/other/x.mp4", f"{URL}gone.mp4", "s3://elsewhere/x.mp4"])
def test_another_tenants_file_is_as_little_there_as_none(jobs: Jobs, url: str) -> None:
    jobs.bodies["artifacts/other/x.mp4"] = b"secret"
    error = jobs.fail("transcode", source=url, height=180)
    assert (error.code, error.field) == ("no_such_artifact", "source")
    assert jobs.fail("download", url=url).code == "no_such_artifact"
    error = jobs.fail("upload", sources=[f"{URL}sample.mp4", url])
    assert (error.code, error.field) == ("no_such_artifact", "sources.1")


def test_a_run_whose_time_is_over_says_so_and_leaves_nothing(jobs: Jobs) -> None:
    with pytest.raises(LongshoreError) as caught:
        asyncio.run(jobs.start("transcode", source=f"{URL}sample.mp4", height=180, ends_at=9_000))
    assert caught.value.code == "too_long"
    assert set(jobs.bodies) == {f"{MINE}sample.mp4"}


def test_a_run_that_is_told_to_stop_stops_between_two_packets(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    tell = transcode_job._tell

    def stop_soon(context: Context, frames: int, expected: int | None) -> None:
        told.append(frames)
        if frames == 10:
            jobs.runs[-1].halt(Stop.CANCELLED)
        tell(context, frames, expected)

    monkeypatch.setattr(transcode_job, "_tell", stop_soon)
    with pytest.raises(Transient, match="stopped"):
        asyncio.run(jobs.start("transcode", source=f"{URL}sample.mp4", height=180))
    assert told[-1] == 10
    assert set(jobs.bodies) == {f"{MINE}sample.mp4"}


# --- download ---------------------------------------------------------------------------------------------------------


def fetched(home: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, answer: Answer, **fields: object) -> ProcessResult:
    """From a server that stands for a public one."""

    async def run() -> object:
        async with serving(home, answer) as (url, tls):
            monkeypatch.setattr(transfer, "download", partial(transfer.download, allowed=loopback, tls=tls))
            return await jobs.start("download", url=url, **fields)

    result = asyncio.run(run())
    assert isinstance(result, ProcessResult)
    return result


def answering(body: bytes, content_type: str = "video/mp4", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, headers=headers)

    return answer


def test_a_file_comes_as_it_is_with_its_name_and_type(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: bytes
) -> None:
    result = fetched(tmp_path, jobs, monkeypatch, answering(sample), media_types=["image/png", "video/*"])
    assert made(jobs, result) == sample
    assert result.data == {"name": "rows.csv", "media_type": "video/mp4"}
    assert f'"current":{len(sample)},"total":{len(sample)}' in (jobs.runs[-1].progress or "")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answering(b"<html>", "text/html"), "unexpected_type"),
        (answering(b"packed", **{"Content-Encoding": "gzip"}), "encoded"),
        (answering(b"x" * 1001), "too_large"),
    ],
)
def test_what_is_not_as_it_was_asked_for_is_refused_and_leaves_nothing(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, code: str
) -> None:
    with pytest.raises(Permanent) as caught:
        fetched(tmp_path, jobs, monkeypatch, answer, media_types=["video/*"], size_bytes_max=1000)
    assert (caught.value.code, caught.value.field) == (code, "url")
    assert set(jobs.bodies) == {f"{MINE}sample.mp4"}


def test_a_stream_without_an_end_is_left_when_there_is_enough(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))

    with pytest.raises(Permanent, match="too_large"):
        fetched(tmp_path, jobs, monkeypatch, answer, size_bytes_max=1 << 20)
    assert set(jobs.bodies) == {f"{MINE}sample.mp4"}


def test_a_public_server_leads_nobody_inside(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPFound("https://169.254.169.254/latest")

    with pytest.raises(Permanent) as caught:
        fetched(tmp_path, jobs, monkeypatch, answer)
    assert (caught.value.code, caught.value.field) == ("address_refused", "url")
    assert set(jobs.bodies) == {f"{MINE}sample.mp4"}


def test_our_own_network_is_out_of_reach(jobs: Jobs) -> None:
    assert jobs.fail("download", url="https://169.254.169.254/latest").code == "address_refused"
    error = jobs.fail("upload", sources=[f"{URL}sample.mp4"], destination=["https://127.0.0.1:1/x?s=sesame"])
    assert (error.code, error.field) == ("address_refused", "destination.0")
    assert "sesame" not in str(error)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/film%20one.mp4?x=1", "film_one.mp4"),
        ("https://h/../..", "file"),
        ("https://h/_result.json", "result.json"),
        ("https://h/%2e%2e%2fetc%2fpasswd", "etc_passwd"),
        ("https://h", "file"),
        (f"https://h/{'x' * 300}", "x" * 100),
    ],
)
def test_a_url_becomes_a_name_that_a_file_may_have(url: str, name: str) -> None:
    assert file_name(url) == name
    assert DownloadPayload(url=url, name=file_name(url)).name == name


# --- upload -----------------------------------------------------------------------------------------------------------


def test_files_come_together_in_one_folder_each_with_a_name_of_its_own(jobs: Jobs, sample: bytes) -> None:
    jobs.bodies["artifacts/default/uploads/2/sample.mp4"] = b"another"
    sources = [f"{URL}sample.mp4", "s3://memory/artifacts/default/uploads/2/sample.mp4"]
    result = jobs.run("upload", sources=sources, destination="films/all")
    listed = result.data["files"]
    assert isinstance(listed, list)
    urls = [str(file["url"]) for file in listed if isinstance(file, dict)]
    assert [url.partition("/films/")[2] for url in urls] == ["all/sample.mp4", "all/2-sample.mp4"]
    assert [jobs.body(url) for url in urls] == [sample, b"another"]
    assert result.records_processed == 2


def test_what_was_put_by_an_earlier_attempt_is_not_put_again(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: bytes
) -> None:
    got: list[tuple[str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.path, await request.read()))
        return web.Response(status=503 if len(got) == 2 else 200)

    async def run() -> ProcessResult:
        async with serving(tmp_path, answer) as (url, tls):
            monkeypatch.setattr(transfer, "put", partial(transfer.put, allowed=loopback, tls=tls))
            places = [url.replace("rows.csv", f"{name}?signature=sesame") for name in "ab"]
            again = partial(jobs.start, "upload", job_id="job_1", sources=[f"{URL}sample.mp4"] * 2, destination=places)
            with pytest.raises(Transient, match="upload_failed"):
                await again()
            result = await again(epoch=2)
            assert isinstance(result, ProcessResult)
            return result

    result = asyncio.run(run())
    assert [path for path, _ in got] == ["/a", "/b", "/b"]
    assert {body for _, body in got} == {sample}
    assert "sesame" not in result.model_dump_json()
    assert result.artifact is None


def test_a_place_for_each_source_is_asked_for(jobs: Jobs) -> None:
    error = jobs.fail("upload", sources=[f"{URL}a", f"{URL}b"], destination=["https://h/a"])
    assert "as many PUT URLs as there are sources" in error.message
