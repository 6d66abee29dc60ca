"""A list's cursor: opaque to people, bound to the tenant whose list handed it out. Pure.

It is JSON in base64url: a mapping of partition → [created_at, key] of the last job taken from it. Nothing in it is
trusted: keys that do not begin with the tenant's id are refused, so a cursor can only ever point into one's own list.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Final

from shared.errors import InvalidInput

CREATED_AT_MAX: Final = 10**15
"""What DynamoDB would refuse as a number is refused here."""

JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")

Place = tuple[int, str]
"""(created_at, key) of a job."""


def write_cursor(places: Mapping[str, Place]) -> str:
    return base64.urlsafe_b64encode(json.dumps(places, separators=(",", ":")).encode()).decode()


def read_cursor(cursor: str, tenant_id: str) -> dict[str, Place]:
    """Raises InvalidInput for whatever `write_cursor` did not make for this tenant."""
    try:
        places = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        return {partition: _place(place, tenant_id) for partition, place in places.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput("bad_cursor", "not a cursor that this tenant's list handed out", field="cursor") from error


def _place(place: object, tenant_id: str) -> Place:
    match place:
        case [int(created_at), str(key)] if type(created_at) is int and 0 <= created_at <= CREATED_AT_MAX:
            tenant, _, job_id = key.partition("#")
            if tenant == tenant_id and JOB_ID.fullmatch(job_id):
                return created_at, key
    raise ValueError("not a place in this tenant's list")
