"""Which failures are the same failure: the error's code and the shape of its message, whatever differs by job left out.

timeout   still running after 60 s     →  timeout-1d2e3f40
timeout   still running after 300 s    →  timeout-1d2e3f40
"""

import re
from typing import Final

from pydantic_core import from_json

from shared.ids import digest
from shared.job import Job

SHAPE_MAX: Final = 80
"""A row keeps the beginning of a long message, cut wherever its values let it end: the shape ends before that."""

_PARTICULAR: Final = re.compile(r"\"[^\"]*\"|'[^']*'|\S*://\S+|[\w.:/@+-]*\d[\w.:/@+-]*")
"""Quoted texts, URLs, and whatever has a digit in it: numbers, ids, dates, addresses."""


def fingerprint(code: str, message: str) -> str:
    """→ the code, a hyphen and 8 hex digits"""
    shape = _PARTICULAR.sub("#", message).lower()[:SHAPE_MAX]
    return f"{code}-{digest(shape)[:8]}"


def fingerprint_of(job: Job) -> str | None:
    """Of the row's error, if it has one."""
    if job.error is None:
        return None
    error = from_json(job.error)
    return fingerprint(error["code"], error["message"])


def is_like(job: Job, wanted: str) -> bool:
    """`wanted` is a fingerprint, or the code alone for all messages."""
    mine = fingerprint_of(job)
    return mine is not None and wanted in (mine, mine.rpartition("-")[0])
