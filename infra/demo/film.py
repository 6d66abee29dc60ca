"""The film of the demonstration: one flow, download → transcode to three sizes → upload; and what came of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from pydantic import JsonValue
from pydantic_core import to_json

from infra.demo.proof import Unequal
from shared.payloads import read_payload
from shared.payloads.base import Payload


@dataclass(frozen=True, slots=True)
class Film:
    name: str
    seconds: int
    size: tuple[int, int]
    heights: tuple[int, ...]


FILM: Final = Film("film.mp4", 4, (640, 360), (360, 240, 144))


def film_flow(url: str, tenant_id: str) -> Payload:
    """`url`: where the film was uploaded to."""
    heights: list[JsonValue] = [*FILM.heights]
    steps: list[JsonValue] = [
        {"name": "download", "job": {"type": "download", "url": {"$input": "url"}}},
        {
            "name": "sizes",
            "map": heights,
            "job": {
                "type": "transcode",
                "source": {"$from": "download", "path": "artifact.url"},
                "height": {"$item": True},
            },
        },
        {
            "name": "upload",
            "job": {
                "type": "upload",
                "sources": {"$from": "sizes", "path": "*.artifact.url"},
                "destination": "films",
            },
        },
    ]
    return read_payload(to_json({"type": "flow", "tenant_id": tenant_id, "inputs": {"url": url}, "steps": steps}))


def prove_film(directory: Path) -> str:
    """Are the films whole, each of its size? Raises Unequal."""
    found = sorted(directory.rglob("film-*.mp4"))
    if len(found) != len(FILM.heights):
        raise Unequal(f"{len(found)} films, not {len(FILM.heights)}, in {directory}")
    told: list[str] = []
    for path, height in zip(found, sorted(FILM.heights), strict=True):
        with av.open(str(path)) as film:
            picture = film.streams.video[0]
            frames = sum(1 for _ in film.decode(picture))
            seconds = frames / float(picture.average_rate or 1)
            if picture.height != height or abs(seconds - FILM.seconds) > 0.5:
                raise Unequal(f"{path.name}: {picture.height} pixels high, {seconds:.1f} s")
            told.append(f"{picture.width}x{picture.height}")
    return f"was transcoded by a flow, and can be watched: {', '.join(told)}, {FILM.seconds} s each"
