"""The thread of a database: what goes in and out of it, and how it ends."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from shared.databases import kind_of, reading, writing
from shared.databases.ahead import ahead
from shared.databases.engine import Reader, Writer
from shared.databases.export import export
from shared.databases.schema import Table
from shared.databases.session import CHUNK_BYTES, Inlet, Outlet
from shared.errors import LongshoreError, Permanent, Transient
from tests.databases import ask_postgres, make_sqlite

FOREVER = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",
}


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return make_sqlite(tmp_path / "shop.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, shop: str) -> str:
    return shop if request.param == "sqlite" else str(request.getfixturevalue("new_postgres")())


def test_a_cancelled_job_stops_the_statement_that_runs(url: str) -> None:
    """Without the interrupt, the thread would be waited for forever."""
    begun = threading.Event()

    def work(database: Writer) -> None:
        begun.set()
        database.execute(FOREVER[database.kind])

    async def cancelled() -> None:
        async with writing(url) as database:
            task = asyncio.ensure_future(database.run(work))
            await asyncio.to_thread(begun.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(asyncio.wait_for(cancelled(), 30))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("database")]


def test_a_cancelled_job_breaks_the_file_that_its_thread_waits_for(shop: str) -> None:
    async def never() -> AsyncIterator[bytes]:
        waiting.set()
        await asyncio.sleep(3600)
        yield b""

    async def cancelled() -> None:
        async with writing(shop) as database:
            inlet = database.inlet(never())
            task = asyncio.ensure_future(database.run(lambda _, file: file.read(1), inlet))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    waiting = asyncio.Event()
    asyncio.run(asyncio.wait_for(cancelled(), 30))


@pytest.mark.parametrize("how", ["cancelled", "broken off", "cancelled while it cleans up"])
def test_what_is_broken_off_has_cleaned_up_when_its_block_ends(shop: str, how: str) -> None:
    """Otherwise the generator would be closed in the middle of that, which Python refuses."""
    ended: list[str] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            waiting.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.to_thread(over.wait)
            for place in range(2_000):  # as closing a connection takes a while
                await asyncio.sleep(0)
                if how == "cancelled while it cleans up" and place == 1_000:
                    tasks[0].cancel()
            ended.append(how)

    def work(_: Writer, file: Inlet) -> bytes:
        try:
            with ahead(iter(lambda: file.read(1) or b"", b""), file.break_off) as found:
                first = next(found)
                waiting.wait()
                return b"".join(found) if how == "cancelled" else first
        finally:
            over.set()

    async def run() -> bytes:
        async with writing(shop) as database, aclosing(chunks()) as file:
            tasks.append(asyncio.ensure_future(database.run(work, database.inlet(file))))
            await asyncio.to_thread(waiting.wait)
            if how == "cancelled":
                tasks[0].cancel()
            return await tasks[0]

    waiting, over, tasks = threading.Event(), threading.Event(), list[asyncio.Task[bytes]]()
    if "cancelled" in how:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(asyncio.wait_for(run(), 30))
    else:
        assert asyncio.run(asyncio.wait_for(run(), 30)) == b"1"
    assert ended == [how]


def test_what_is_not_committed_is_given_up(url: str) -> None:
    async def write(*, commit: bool) -> list[str]:
        async with writing(url) as database:
            await database.run(lambda writer: writer.execute("CREATE TABLE made (a INTEGER)"))
            if commit:
                await database.run(lambda writer: writer.commit())
        async with reading(url) as database:
            return [table.name for table in (await database.run(lambda reader: reader.schema())).tables]

    assert "made" not in asyncio.run(write(commit=False))
    assert "made" in asyncio.run(write(commit=True))


def test_a_statement_is_one_statement(url: str) -> None:
    async def two() -> None:
        async with writing(url) as database:
            await database.run(lambda writer: writer.execute("SELECT 1; SELECT 2"))

    with pytest.raises((LongshoreError, Warning)):
        asyncio.run(two())


def test_an_outlet_hands_over_large_chunks_in_order(shop: str) -> None:
    chunks: list[bytes] = []

    async def write(chunk: bytes) -> None:
        chunks.append(chunk)

    def work(_: Reader, out: Outlet) -> None:
        for number in range(300_000):
            out.write(b"%09d\n" % number)
        out.finish()

    async def run() -> None:
        async with reading(shop) as database:
            await database.run(work, database.outlet(write))

    asyncio.run(run())
    assert b"".join(chunks) == b"".join(b"%09d\n" % number for number in range(300_000))
    assert [len(chunk) // CHUNK_BYTES for chunk in chunks] == [1, 1, 0]


def test_an_inlet_reads_what_comes_whatever_the_size_of_its_chunks(shop: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"", b"abc", b"", b"d", b"efghij"):
            yield chunk

    def work(_: Reader, file: Inlet) -> list[bytes]:
        return list(iter(lambda: file.read(4) or b"", b""))

    async def run() -> tuple[list[bytes], int]:
        async with reading(shop) as database:
            inlet = database.inlet(chunks())
            return await database.run(work, inlet), inlet.size_bytes

    assert asyncio.run(run()) == ([b"abc", b"d", b"efgh", b"ij"], 10)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_failed_upload_is_the_error_that_comes_out(shop: str, form: str) -> None:
    """Whatever the library in between makes of it: arro3 would panic."""

    async def refuse(_: bytes) -> None:
        raise Transient("upload_failed", "no")

    async def run() -> None:
        async with reading(shop) as database:
            table = (await database.run(lambda reader: reader.schema())).tables[0]
            out = database.outlet(refuse)
            await database.run(export, out, table, form, "none", exact=True, tell=lambda _: None)  # type: ignore[arg-type]  # one of the formats

    with pytest.raises(Transient, match="upload_failed"):
        asyncio.run(run())


# --- connections ------------------------------------------------------------------------------------------------------


def connect(url: str) -> Table | None:
    async def run() -> Table | None:
        async with reading(url) as database:
            return next(iter((await database.run(lambda reader: reader.schema())).tables), None)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///nowhere/at/all.db",
        "sqlite:///x.db?mode=rwc",
        "sqlite:///x.db#f",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "sqlite:///",
        "mysql://host/x",
    ],
)
def test_a_path_that_leads_nowhere_is_no_database(url: str) -> None:
    with pytest.raises(Permanent) as caught:
        connect(url)
    assert (caught.value.code, caught.value.field) == ("no_such_database", "database")


def test_a_path_is_relative_with_three_slashes_and_absolute_with_four(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shop.startswith("sqlite:////")
    assert connect(shop) == connect("sqlite:///shop.db")
    assert (kind_of(shop), kind_of("postgres://u@h/d")) == ("sqlite", "postgresql")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, though it is long enough for a header of one" * 20)
    with pytest.raises(Permanent, match="corrupt_database"):
        connect(f"sqlite:///{tmp_path}/x.db")


def test_a_server_that_is_not_there_may_be_there_later() -> None:
    with pytest.raises(Transient) as caught:
        connect("postgresql://ada:sesame@127.0.0.1:1/shop")
    assert (caught.value.code, caught.value.field) == ("database_unreachable", "database")
    assert "sesame" not in str(caught.value)


@pytest.mark.postgres
def test_a_database_or_a_user_that_is_not_there_is_told(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    name = url.partition("@/")[2].partition("?")[0]
    for wrong, code in (
        (url.replace(name, "nowhere"), "no_such_database"),
        (url.replace("postgres@", "ada@"), "authentication_failed"),
    ):
        with pytest.raises(Permanent) as caught:
            connect(wrong)
        assert caught.value.code == code


@pytest.mark.postgres
@pytest.mark.parametrize("user", ["locked:sesame", "late_locked:right"])
def test_a_wrong_or_expired_password_is_told_and_never_repeated(new_postgres: Callable[[], str], user: str) -> None:
    url = new_postgres()
    with pytest.raises(Permanent) as caught:
        connect(url.replace("postgres@", f"{user}@"))
    assert caught.value.code == "authentication_failed"
    assert user.partition(":")[2] not in str(caught.value)
    assert connect(url.replace("postgres@", "locked:right@")) is None


@pytest.mark.postgres
def test_a_table_that_may_not_be_read_is_told(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    ask_postgres(url, "CREATE TABLE secret (a integer)")

    async def run() -> None:
        async with reading(url.replace("postgres@", "locked:right@")) as database:
            schema = await database.run(lambda reader: reader.schema())
            await database.run(lambda reader: reader.hold(schema.tables))

    with pytest.raises(Permanent) as caught:
        asyncio.run(run())
    assert (caught.value.code, caught.value.message) == ("permission_denied", "permission denied for table secret")
