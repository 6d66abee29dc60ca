"""SQLite's errors by what to do next. https://www.sqlite.org/rescode.html"""

import re
import sqlite3
from typing import Final

from shared.errors import LongshoreError, Permanent, Transient

_BY_CODE: Final[dict[int, tuple[type[Permanent | Transient], str, str]]] = {
    sqlite3.SQLITE_FULL: (Permanent, "disk_full", "the database or its disk is full"),
    sqlite3.SQLITE_NOTADB: (Permanent, "corrupt_database", "the file is not an SQLite database"),
    sqlite3.SQLITE_CORRUPT: (Permanent, "corrupt_database", "the database file is damaged"),
    sqlite3.SQLITE_BUSY: (Transient, "database_busy", "another connection has held the database locked for too long"),
    sqlite3.SQLITE_LOCKED: (Transient, "database_busy", "another connection has held a table locked for too long"),
    sqlite3.SQLITE_READONLY: (Permanent, "permission_denied", "the database may not be written"),
    sqlite3.SQLITE_PERM: (Permanent, "permission_denied", "the database file may not be opened"),
    sqlite3.SQLITE_CANTOPEN: (Permanent, "database_unreachable", "the database file cannot be opened"),
    sqlite3.SQLITE_AUTH: (Permanent, "query_refused", "a query may only read"),
    sqlite3.SQLITE_INTERRUPT: (Transient, "interrupted", "the statement was interrupted"),
    sqlite3.SQLITE_IOERR: (Transient, "database_unreachable", "the database file cannot be read or written"),
    sqlite3.SQLITE_CONSTRAINT: (Permanent, "constraint_violation", "{}"),
    sqlite3.SQLITE_MISMATCH: (Permanent, "bad_value", "{}"),
    sqlite3.SQLITE_TOOBIG: (Permanent, "bad_value", "{}"),
}

_BY_WORDS: Final = (
    ("no such table", "no_such_table"),
    ("no such column", "no_such_column"),
    ("does not match any PRIMARY KEY or UNIQUE", "no_unique_key"),
    ("already exists", "table_exists"),
    ("Could not decode to UTF-8", "bad_text"),
)


def sqlite_fault(error: Exception) -> LongshoreError | None:
    """None if the error is not SQLite's. The message never repeats a path or, but for row faults, a value."""
    if isinstance(error, OverflowError):
        return Permanent("bad_value", "an integer of more than 64 bits")
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _BY_CODE:
        kind, name, message = _BY_CODE[code]
        column = re.search(r"constraint failed: [^.]+\.(.+)|value in column [^.]+\.(\S+)", str(error))
        return kind(name, message.format(error), field=column and (column[1] or column[2]))
    words = str(error)
    for part, name in _BY_WORDS:
        if part in words:
            return Permanent(name, words if name != "bad_text" else "a text in the database is not UTF-8")
    return Permanent("database_error", words)
