"""A connection whose settings make each type's text exact, and the same everywhere."""

import contextlib
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import Connection, Cursor
from psycopg.conninfo import make_conninfo

from shared.databases.engine import Value
from shared.databases.postgres.faults import connection_fault
from shared.databases.schema import literal

CANCEL_S: Final = 5

_CONNECT: Final[dict[str, str | int]] = {
    "application_name": "longshore",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server that is gone is given up within a minute. https://www.postgresql.org/docs/current/libpq-connect.html"""

_SETTINGS: Final = {
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "intervalstyle": "postgres",
    "lc_monetary": "C",
    "lock_timeout": "30s",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "timezone": "UTC",
}


def connect(url: str, *, isolation: psycopg.IsolationLevel, read_only: bool) -> Connection:
    """In a transaction. Raises Transient("database_unreachable"), Permanent("authentication_failed", …).

    The settings last as long as the transaction, so that a pooled connection is given back as it was.
    """
    calls = ", ".join(f"set_config({literal(name)}, {literal(value)}, true)" for name, value in _SETTINGS.items())
    with contextlib.ExitStack() as undo:
        try:
            connection = psycopg.connect(make_conninfo(url, **_CONNECT))
            undo.callback(connection.close)
            connection.isolation_level, connection.read_only = isolation, read_only
            connection.execute(f"SELECT {calls}")
        except psycopg.Error as error:
            raise connection_fault(error) from None
        undo.pop_all()
    return connection


def one_statement(connection: Connection, statement: str, values: Sequence[Value] = ()) -> Cursor:
    """Binary answers need the extended protocol, where a second statement is a syntax error. `values`: of `$1` …"""
    return psycopg.RawCursor(connection).execute(statement, values or None, binary=True)


def cancel(connection: Connection) -> None:
    """Make the running statement fail. https://www.postgresql.org/docs/current/libpq-cancel.html"""
    with contextlib.suppress(psycopg.Error):  # it is tried again until the statement has ended
        connection.cancel_safe(timeout=CANCEL_S)
