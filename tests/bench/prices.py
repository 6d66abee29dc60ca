"""List prices of us-east-1 in dollars per million, and what a tally comes to by them.

DynamoDB on demand: https://aws.amazon.com/dynamodb/pricing/on-demand/ · SQS: https://aws.amazon.com/sqs/pricing/
S3: https://aws.amazon.com/s3/pricing/ · Lambda (arm64): https://aws.amazon.com/lambda/pricing/
EventBridge Scheduler: https://aws.amazon.com/eventbridge/pricing/
"""

from collections.abc import Mapping
from typing import Final

from tests.bench.meter import Tally

WRITE_UNIT: Final = 0.625
READ_UNIT: Final = 0.125
SQS_REQUEST: Final = 0.40
LAMBDA_GB_S: Final = 13.3334

PER_REQUEST: Final[Mapping[str, float]] = {
    "s3 PUT": 5.0,
    "s3 POST": 5.0,
    "s3 GET": 0.4,
    "s3 HEAD": 0.4,
    "scheduler POST": 1.0,
    "lambda worker": 0.20,
    "lambda reactor": 0.20,
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
