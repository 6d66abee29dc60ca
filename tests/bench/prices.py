"""What a tally comes to by the list prices of `shared/cost.py`, in dollars per million.

EventBridge Scheduler, which that does not count: https://aws.amazon.com/eventbridge/pricing/
"""

from collections.abc import Mapping
from typing import Final

from shared.cost import LAMBDA_GB_S, LAMBDA_REQUEST, READ_UNIT, S3_GET, S3_PUT, SQS_REQUEST, WRITE_UNIT
from tests.bench.meter import Tally

PER_REQUEST: Final[Mapping[str, float]] = {
    "s3 PUT": S3_PUT,
    "s3 POST": S3_PUT,
    "s3 GET": S3_GET,
    "s3 HEAD": S3_GET,
    "scheduler POST": 1.0,
    "lambda worker": LAMBDA_REQUEST,
    "lambda reactor": LAMBDA_REQUEST,
}

MEMORY_GB: Final = 0.5

BILLED_S: Final[Mapping[str, float]] = {"lambda worker": 0.100, "lambda reactor": 0.030}
"""Of one invocation, beyond the handler's own work: assumed, since a laptop cannot tell how fast AWS answers."""


def dollars(tally: Tally) -> dict[str, float]:
    """service → dollars, of everything that was counted."""
    requests = tally.requests
    seconds = sum(requests[name] * billed_s for name, billed_s in BILLED_S.items())
    by_request = {
        service: sum(requests[name] * price for name, price in PER_REQUEST.items() if name.startswith(service))
        for service in ("s3", "scheduler", "lambda")
    }
    return {
        "dynamodb": (tally.write_units + tally.index_units) * WRITE_UNIT + tally.read_units * READ_UNIT,
        "sqs": tally.sqs_billed * SQS_REQUEST,
        **by_request,
        "lambda": by_request["lambda"] + seconds * MEMORY_GB * LAMBDA_GB_S,
    }
