"""The way of a video through the whole product: a place for it, two sizes of it, one folder."""

import asyncio
import io
from typing import Any

import aiohttp
import av
import pytest

from infra.demo.video import generate
from tests.e2e.front.house import Visitor, open_house


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "sample.mp4"
    generate(path, 4, (640, 360))
    return path.read_bytes()


def test_a_video_is_fetched_made_smaller_twice_and_handed_on(sample: bytes) -> None:
    async def story() -> None:
        async with open_house() as house, house.visitor() as ann:
            place = await put(ann, sample)
            fetched = await result_of(ann, type="download", url=place, name="film.mp4")
            source = fetched["artifact"]["url"]
            smaller = (result_of(ann, type="transcode", source=source, height=height) for height in (240, 144))
            sizes = await asyncio.gather(*smaller)
            handed_on = await result_of(ann, type="upload", sources=[one["artifact"]["url"] for one in sizes])
            assert [one["data"]["frames"] for one in sizes] == [100, 100]
            assert [file["sha256"] for file in handed_on["data"]["files"]] == [
                one["artifact"]["sha256"] for one in sizes
            ]
            assert [await shape_at(link) for link in handed_on["links"]] == [(256, 144), (426, 240)]

    asyncio.run(story())


async def put(ann: Visitor, body: bytes) -> str:
    """→ the URL to name in payloads"""
    status, place = await ann.ask("POST", "/uploads", {"name": "film.mp4", "size_bytes": len(body)})
    assert status == 201, place
    async with aiohttp.ClientSession() as anybody, anybody.put(place["href"], data=io.BytesIO(body)) as answer:
        assert answer.status == 200
    return str(place["url"])


async def result_of(ann: Visitor, **payload: object) -> dict[str, Any]:  # Any: a JSON document
    """→ what the job's handler returned, and links to the files it names."""
    status, accepted = await ann.ask("POST", "/jobs", payload)
    assert status == 202, accepted
    job = await ann.until(accepted["job_id"], "SUCCESS", "FAILED")
    assert job["status"] == "SUCCESS", job
    _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
    return {**result["data"]["result"], "links": sorted(link["href"] for link in result["links"])}


async def shape_at(href: str) -> tuple[int, int]:
    async with aiohttp.ClientSession() as anybody, anybody.get(href) as answer:
        with av.open(io.BytesIO(await answer.read())) as found:
            return found.streams.video[0].width, found.streams.video[0].height
