"""A note through the whole product: its door, a queue and a function for each type, and those who watch."""

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp

from tests.databases import ask_sqlite
from tests.e2e.front.house import PATIENCE_S, Visitor, open_house
from tests.recipes import LASAGNE

COUNTS = """SELECT (SELECT count(*) FROM recipe_lines WHERE status <> 'waiting'),
    (SELECT count(*) FROM recipe_segments WHERE kind = 'ingredient'), (SELECT count(*) FROM recipe_labels),
    (SELECT min(status) FROM recipe_notes)"""


def test_a_note_becomes_rows_while_somebody_watches(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/cookbook.db"
    asyncio.run(_imported(url))
    assert ask_sqlite(url, COUNTS) == [(10, 7, 4, "complete")]


async def _imported(url: str) -> None:
    async with open_house() as house, house.visitor() as ann, ann.live() as socket:
        secret = {"Name": "longshore/acme/book", "SecretString": url}
        await house.cloud.clients.call("secretsmanager", "create_secret", **secret)
        database = "secret://book"
        await socket.send_json({"action": "subscribe", "topic": "tenant"})
        status, accepted = await ann.ask(
            "POST", "/jobs", {"type": "import_note", "html": LASAGNE, "database": database}
        )
        assert status == 202, accepted
        heard = await _heard(socket, accepted["job_id"])
        told = list(dict.fromkeys(_said(event) for event in heard if event.get("message")))
        assert {(context, level, total) for _, context, level, _, total in told} == {("Grandma's Lasagne", 1, 10)}
        assert any(re.fullmatch(r"[0-7]/7 ingredients", str(message)) for message, *_ in told), (
            "quick ones are one event"
        )
        assert told[-1] == ("3/3 instructions", "Grandma's Lasagne", 1, 10, 10)
        counts = [event["current_count"] for event in heard if event.get("message")]
        assert counts == sorted(counts), "never backwards"
        await _duplicate(ann, database)


async def _heard(socket: aiohttp.ClientWebSocketResponse, job_id: str) -> list[dict[str, Any]]:  # Any: JSON
    """Events of that job, up to its end."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not any(event["event"] in {"completed", "failed"} for event in events):
            told = await socket.receive_json()
            events += [event for event in told.get("events", ()) if event["job_id"] == job_id]
    assert events[-1]["status"] == "SUCCESS", events[-1]
    return events


def _said(event: dict[str, Any]) -> tuple[object, ...]:  # Any: JSON
    return tuple(event.get(key) for key in ("message", "context", "indent_level", "current_count", "total_count"))


async def _duplicate(ann: Visitor, database: str) -> None:
    _, accepted = await ann.ask("POST", "/jobs", {"type": "import_note", "html": LASAGNE, "database": database})
    await ann.until(accepted["job_id"], "SUCCESS", "FAILED")
    _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
    assert result["data"]["result"]["data"]["duplicate"] is True
