"""A database job that is cancelled while it runs: told by its next beat, it cleans up, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shared.memory.jobs import MemoryJobs
from shared.memory.objects import MemoryObjects
from shared.moves import request_cancel
from shared.payloads.base import Encryption
from shared.ports import Ports, Upload
from shared.runtime.attempt import Attempt
from shared.runtime.beats import keep_beating
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.runtime.run import Run
from shared.status import Status
from tests.databases import TYPES, Jobs, ask_postgres, ask_sqlite, job_row, make_sqlite, manifest_url

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO orders VALUES (1, 'a'), (2, 'b');
INSERT INTO people VALUES (1, 'Ada');
"""


class StalledObjects(MemoryObjects):
    """The world stops at its `stalls_at`-th write to, or read from, a file whose name holds `name`; until cancelled."""

    def __init__(self, name: str, at: int) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.aborted: list[str] = []
        self.reached = asyncio.Event()
        self._name, self._left = name, at

    async def stall(self, key: str) -> None:
        self._left -= self._name in key
        if self._left == 0:
            self.reached.set()
            await asyncio.sleep(3600)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        async for chunk in super().stream(key):
            await self.stall(key)
            yield chunk

    async def upload(self, key: str, *, encryption: Encryption | None = None) -> Upload:
        self.opened.append(key)
        return StalledUpload(self, key, await super().upload(key, encryption=encryption))


class StalledUpload:
    def __init__(self, objects: StalledObjects, key: str, upload: Upload) -> None:
        self._objects, self._key, self._upload = objects, key, upload
        self.size_bytes, self.sha256 = 0, ""

    async def write(self, chunk: bytes) -> None:
        await self._objects.stall(self._key)
        await self._upload.write(chunk)

    async def complete(self) -> None:
        await self._upload.complete()
        self.size_bytes, self.sha256 = self._upload.size_bytes, self._upload.sha256

    async def abort(self) -> None:
        self._objects.aborted.append(self._key)
        await self._upload.abort()


class BeatsOnCue:
    """One beat is due as soon as the world has stalled."""

    def __init__(self, ports: Ports, cue: Callable[[], Awaitable[object]]) -> None:
        self._ports, self._cue = ports, cue

    @asynccontextmanager
    async def during(self, run: Run, hide: object) -> AsyncIterator[None]:
        async def beat() -> None:
            await self._cue()
            await keep_beating(run, self._ports, lease_ms=None, hide=None)

        task = asyncio.ensure_future(beat())
        yield
        task.cancel()


def cancelled(world: Jobs, objects: StalledObjects, kind: str, payload: str) -> Status:
    """Run the job, and ask for its end while the world stalls; → how it ended."""
    job = replace(job_row("job_c", 1, None), type=kind, payload=payload, lease_until=1 << 60)
    passed_ms = 0
    ports = replace(world.ports, objects=objects, now=lambda: passed_ms)
    rows = ports.jobs
    assert isinstance(rows, MemoryJobs)
    rows.rows[job.key] = job
    objects.bodies |= world.bodies

    async def cue() -> None:
        nonlocal passed_ms
        await objects.reached.wait()
        await ports.jobs.apply(request_cancel(job.tenant_id, job.job_id, 0, who="test"))
        passed_ms = 60_000

    async def story() -> None:
        host = Host("test", lambda: 1 << 60, lambda: 300.0, BeatsOnCue(ports, cue), Floor(), solitary=True)
        await Attempt(TYPES[kind], ports).make(job, None, None, host)

    asyncio.run(asyncio.wait_for(story(), 60))
    return rows.rows[job.key].status


@pytest.mark.parametrize(("name", "at"), [("orders", 1), ("people", 1), ("schema", 1), ("manifest", 1)])
def test_a_cancelled_backup_aborts_its_upload_and_has_no_manifest(tmp_path: Path, name: str, at: int) -> None:
    url = make_sqlite(tmp_path / "shop.db", SHOP)
    objects = StalledObjects(name, at)
    assert cancelled(Jobs(), objects, "backup", f'{{"database": "{url}"}}') is Status.CANCELLED
    assert objects.aborted == objects.opened[-1:]
    assert name in objects.aborted[0]
    assert [key for key in objects.bodies if "manifest" in key] == []
    assert objects.bodies.keys() == set(objects.opened[:-1])


@pytest.mark.parametrize("options", ["{}", '{"compression": "zip"}'])
def test_a_cancelled_extract_aborts_its_upload(tmp_path: Path, options: str) -> None:
    url = make_sqlite(tmp_path / "shop.db", SHOP)
    objects = StalledObjects("artifacts", 1)
    payload = f'{{"database": "{url}", "tables": ["orders", "people"], "options": {options}}}'
    assert cancelled(Jobs(), objects, "extract", payload) is Status.CANCELLED
    assert (objects.aborted, objects.bodies) == (objects.opened, {})


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_cancelled_restore_is_rolled_back(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    """It has loaded the first table, and stalls at the second's file: the second time, after its checksum."""
    world = Jobs()
    if kind == "sqlite":
        source, target = make_sqlite(tmp_path / "shop.db", SHOP), f"sqlite:///{tmp_path}/target.db"
    else:
        source, target = (str(request.getfixturevalue("new_postgres")()) for _ in range(2))
        ask_postgres(source, SHOP)
    backup = manifest_url(world.run("backup", database=source))
    objects = StalledObjects("people", 2)
    payload = f'{{"database": "{target}", "backup_url": "{backup}"}}'
    assert cancelled(world, objects, "restore", payload) is Status.CANCELLED
    if kind == "sqlite":
        assert ask_sqlite(target, "SELECT name FROM sqlite_schema") == []
    else:
        assert ask_postgres(target, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
