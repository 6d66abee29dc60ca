"""A record of the jobs table's stream, as Lambda hands it over, read as rows.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import json
from collections.abc import Mapping
from typing import Any

from shared.aws.expressions import job_of
from shared.consequences import Record
from shared.job import Job


def read_record(raw: Mapping[str, Any]) -> Record:
    """What cannot be read as a job keeps its raw form and the reason: the reactor quarantines it, nothing raises."""
    change = raw["dynamodb"]
    sequence = str(change["SequenceNumber"])
    try:
        return Record(sequence, _image(change, "OldImage"), _image(change, "NewImage"))
    except (KeyError, TypeError, ValueError) as error:
        problem = f"not a job's row: {type(error).__name__} {error}"
        return Record(sequence, None, None, raw=json.dumps(raw, default=str), problem=problem)


def _image(change: Mapping[str, Any], name: str) -> Job | None:
    return job_of(change[name]) if name in change else None
