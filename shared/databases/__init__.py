"""Databases, and files of their rows: what the jobs `extract`, `backup` and `restore` are made of.

    async with reading(url) as database:          # one consistent snapshot, in a thread of its own
        schema = await database.run(Reader.schema)
        rows = await database.run(export, database.outlet(upload.write), schema.tables[0], "csv", "gzip", …)

    async with writing(url) as database:          # one transaction
        report = await database.run(restore, …)
        await database.run(Writer.commit)

    schema      tables, columns, keys as plain data       session     the thread, and files between it and the loop
    engine      what a kind of database must do           export      a table into a file
    sqlite/     postgres/                                 load        files into tables
    unload      tables, as long as it takes               place       how far a restore is
    pace        a whole table, or along its key           fence       so that nothing happens twice in a database
    formats     parquet     compression     manifest      download    https, public addresses only

Bounded memory, exact values, names quoted, errors with codes; a connection URL is in no message.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from shared.databases.engine import Reader, Writer
from shared.databases.schema import Kind
from shared.databases.session import Session, session
from shared.errors import Permanent


def reading(url: str) -> AbstractAsyncContextManager[Session[Reader]]:
    """A snapshot of what is at `sqlite:///PATH` or `postgresql://user:password@host/name`, until the block ends."""
    path = _sqlite_path(url)
    if path is not None:
        from shared.databases.sqlite.reader import SqliteReader

        return session(lambda: SqliteReader(path))
    from shared.databases.postgres.reader import PostgresReader

    return session(lambda: PostgresReader(url))


def writing(url: str, *, making_tables: bool = False) -> AbstractAsyncContextManager[Session[Writer]]:
    """A transaction there, given up unless the work commits it. An SQLite file is made if there is none.

    Foreign keys are enforced, but for tables made in SQLite: they come back as they were, broken references included.
    """
    path = _sqlite_path(url)
    if path is not None:
        from shared.databases.sqlite.writer import SqliteWriter

        return session(lambda: SqliteWriter(path, foreign_keys=not making_tables))
    from shared.databases.postgres.writer import PostgresWriter

    return session(lambda: PostgresWriter(url))


def kind_of(url: str) -> Kind:
    return "postgresql" if _sqlite_path(url) is None else "sqlite"


def same_file(one: str, other: str) -> bool:
    """Are both URLs of one SQLite file?"""
    paths = _sqlite_path(one), _sqlite_path(other)
    return None not in paths and len({Path(str(path)).resolve() for path in paths}) == 1


def _sqlite_path(url: str) -> str | None:
    """`sqlite:///shop.db` is relative, `sqlite:////data/shop.db` absolute; parameters are not taken."""
    if url.startswith(("postgresql://", "postgres://")):
        return None
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path or set(path) & set("?#\0") or Path(path).name.startswith(":"):
        raise Permanent("no_such_database", "expected sqlite:///PATH or postgresql://user@host/name", field="database")
    return path
