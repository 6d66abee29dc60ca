"""What everybody says they did: one line of JSON each, appended to one file by all processes at once.

A line is one write of less than a page to a file opened with O_APPEND, so a process that is killed leaves a whole line
or none, and no two lines mix.
"""

import json
import os
import time
from pathlib import Path
from typing import Final

from pydantic import JsonValue

VARIABLE: Final = "LONGSHORE_SOAK_LEDGER"

Line = dict[str, JsonValue]


def tell(what: str, **fields: JsonValue) -> None:
    """Append to the ledger that the environment names; the line is on its way to the disk when this returns."""
    line = {"what": what, "at": time.time_ns() // 1_000_000, "pid": os.getpid(), **fields}
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


def read(path: Path) -> list[Line]:
    """All lines so far, in the order of their writing."""
    return [json.loads(line) for line in path.read_text().splitlines()]
