"""PostgreSQL's errors by what to do next. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

import re
from typing import Final

import psycopg
from psycopg.errors import Diagnostic

from shared.errors import LongshoreError, Permanent, Transient

_BY_STATE: Final[tuple[tuple[str, type[Permanent | Transient], str], ...]] = (
    ("08", Transient, "database_unreachable"),
    ("22", Permanent, "bad_value"),
    ("23", Permanent, "constraint_violation"),
    ("25001", Permanent, "query_refused"),
    ("25006", Permanent, "query_refused"),
    ("25P", Transient, "snapshot_lost"),
    ("28", Permanent, "authentication_failed"),
    ("2BP01", Permanent, "table_in_use"),
    ("3D000", Permanent, "no_such_database"),
    ("40", Transient, "database_busy"),
    ("42501", Permanent, "permission_denied"),
    ("42601", Permanent, "query_refused"),
    ("42703", Permanent, "no_such_column"),
    ("42704", Permanent, "no_such_type"),
    ("42804", Permanent, "bad_value"),
    ("42P01", Permanent, "no_such_table"),
    ("42P10", Permanent, "no_unique_key"),
    ("42P07", Permanent, "table_exists"),
    ("53100", Permanent, "disk_full"),
    ("53", Transient, "database_busy"),
    ("54", Permanent, "bad_value"),
    ("55P03", Transient, "database_busy"),
    ("57014", Transient, "interrupted"),
    ("57P", Transient, "snapshot_lost"),
    ("58030", Transient, "database_unreachable"),
)
"""The first prefix that fits, the longer ones of a class before it."""

_REFUSALS: Final = (
    ("password authentication failed", Permanent, "authentication_failed", "the server refused the user or password"),
    ("no password supplied", Permanent, "authentication_failed", "the server asks for a password"),
    ("no pg_hba.conf entry", Permanent, "authentication_failed", "the server does not let this user in from here"),
    ('role ".*" does not exist', Permanent, "authentication_failed", "the server knows no such user"),
    ('database ".*" does not exist', Permanent, "no_such_database", "the server has no such database"),
    ("too many (connections|clients)", Transient, "database_busy", "the server has no connection left"),
)
"""libpq gives no SQLSTATE for a connection that was refused, only the server's words."""


def postgres_fault(error: Exception) -> LongshoreError | None:
    """None if the error is not psycopg's. Only the server's own message is repeated, never a connection string."""
    if not isinstance(error, psycopg.Error):
        return None
    message = error.diag.message_primary or "the connection broke"
    if error.diag.schema_name == "pg_catalog":
        return Transient("database_busy", "somebody else made the same thing at the same moment")
    for prefix, kind, code in _BY_STATE:
        if (error.sqlstate or "").startswith(prefix):
            return kind(code, message, field=_column(error.diag))
    if isinstance(error, psycopg.DataError):
        return Permanent("bad_value", str(error))
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Transient("snapshot_lost", "the connection to the database broke, and the transaction with it")
    return Permanent("database_error", message)


def _column(diagnosis: Diagnostic) -> str | None:
    """The column, if the server says so: a row's own faults only."""
    in_copy = re.search(r", column ([^:]+)", diagnosis.context or "")
    return diagnosis.column_name or (in_copy[1] if in_copy else None)


def connection_fault(error: psycopg.Error) -> LongshoreError:
    """Why no connection came about, without the words of the connection string."""
    for pattern, kind, code, message in _REFUSALS:
        if re.search(pattern, str(error)):
            return kind(code, message, field="database")
    if isinstance(error, psycopg.ProgrammingError):
        return Permanent("no_such_database", "the connection URL cannot be read", field="database")
    return Transient("database_unreachable", "no connection to the database server", field="database")
