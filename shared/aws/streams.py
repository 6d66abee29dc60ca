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
    """With its raw form; what cannot be read as a job has the reason: nothing raises, the reactor quarantines it."""
    change = raw["dynamodb"]
    sequence, text = str(change["SequenceNumber"]), json.dumps(raw, default=str)
    try:
        return Record(sequence, _image(change, "OldImage"), _image(change, "NewImage"), raw=text)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"not a job's row: {type(error).__name__} {error}"
        return Record(sequence, None, None, raw=text, problem=problem)


def _image(change: Mapping[str, Any], name: str) -> Job | None:
    return job_of(change[name]) if name in change else None
