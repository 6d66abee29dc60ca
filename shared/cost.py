"""What a job costs, by what it made AWS do, at list prices. Pure; approximate, and said where.

- `of_move` is exact in write units: every write to a row is a record of the stream, with both images.
- `of_job` knows the row as it is now: writes by its history, beats by how long it ran.
- Both at load: ten messages a request and an invocation, a hundred stream records; a job by itself costs about twice.
- Not seen: duplicates that a claim refused; stacks, older history and how large a payload is beside the row; that SQS
  bills each 64 KB of a producer's message; how long a shared invocation was shared (each job pays for its own run);
  what a handler itself asks of AWS, and transfer out of the region.
"""

import math
from dataclasses import astuple, dataclass, replace
from typing import Final

from shared.job import HISTORY_MAX, Job, attributes, read_history_entry
from shared.status import TARGET, Event, Status

# Dollars per million in us-east-1, as listed on 22 November 2026:
WRITE_UNIT: Final = 0.625
READ_UNIT: Final = 0.125
"""On demand: https://aws.amazon.com/dynamodb/pricing/on-demand/"""
SQS_REQUEST: Final = 0.40
"""Standard queues: https://aws.amazon.com/sqs/pricing/"""
S3_PUT: Final = 5.0
S3_GET: Final = 0.4
"""https://aws.amazon.com/s3/pricing/"""
LAMBDA_REQUEST: Final = 0.20
LAMBDA_GB_S: Final = 13.3334
"""arm64: https://aws.amazon.com/lambda/pricing/"""

WAKEUP_REQUESTS: Final = 0.3
"""A tenth of a send, of a receive and of a delete."""
BARE_REQUESTS: Final = 1.2
"""The producer's own send, and the same."""
INVOCATION_SHARE: Final = 0.1
OVERHEAD_S: Final = 0.1
"""Of a worker's invocation, beyond the handler's own work: assumed."""

SIDE_PAYLOAD_UNITS: Final = 3
"""Of a payload beside the row, which is between 256 B and 8 KB: taken for 2 KB."""
BEAT_S: Final = 15
PROGRESS_BEAT_S: Final = 5

MEMORY_MB: Final = 512
"""Of a type that nobody said more of."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was asked of AWS."""

    write_units: float = 0
    read_units: float = 0
    sqs_requests: float = 0
    s3_puts: float = 0
    s3_gets: float = 0
    invocations: float = 0
    gb_s: float = 0

    @property
    def usd(self) -> float:
        prices = (WRITE_UNIT, READ_UNIT, SQS_REQUEST, S3_PUT, S3_GET, LAMBDA_REQUEST, LAMBDA_GB_S)
        counts: tuple[float, ...] = astuple(self)
        return sum(count * price for count, price in zip(counts, prices, strict=True)) / 1_000_000


def of_move(old: Job | None, new: Job, memory_mb: int) -> Spent:
    """One write to the row, and what follows from it."""
    spent = Spent(write_units=_units(new) if old is None else max(_units(old), _units(new)))
    if old is None:
        spent = _created(spent, new)
    elif new.epoch > old.epoch:
        spent = _read_payload(_run(spent, 0, memory_mb), new, 1)
    if old is None and new.status is Status.RUNNING:
        spent = _run(replace(spent, sqs_requests=BARE_REQUESTS), 0, memory_mb)
    elif new.status is Status.QUEUED and (old is None or old.seq != new.seq):
        spent = replace(spent, sqs_requests=WAKEUP_REQUESTS)
    if old is not None and old.status is Status.RUNNING and new.status is not Status.RUNNING:
        run_s = max(0, new.updated_at - (old.started_at or new.updated_at)) / 1000
        spent = replace(spent, gb_s=spent.gb_s + run_s * memory_mb / 1024)
    return replace(spent, s3_puts=spent.s3_puts + (new.result is not None and (old is None or old.result is None)))


def of_job(job: Job, memory_mb: int) -> Spent:
    """All that a job has cost so far."""
    events = [read_history_entry(entry) for entry in job.history]
    is_whole = len(events) < HISTORY_MAX
    moves = len(events) if is_whole else max(len(events), job.epoch + job.seq + job.status.is_terminal)
    bare = bool(events) and events[0].event in (Event.CLAIM_BARE, Event.START)
    ends = [*(entry.at for entry in events[1:]), job.updated_at]
    spans = [end - entry.at for entry, end in zip(events, ends, strict=True) if TARGET[entry.event] is Status.RUNNING]
    run_s = sum(spans) / 1000 * (1 if is_whole or not spans else max(1, job.epoch / len(spans)))
    moves += int(run_s // (BEAT_S if job.progress is None else PROGRESS_BEAT_S))
    spent = _created(Spent(write_units=_units(job) * moves), job)
    spent = _read_payload(_run(spent, run_s, memory_mb, runs=job.epoch), job, job.epoch - bare)
    sqs = WAKEUP_REQUESTS * (job.seq - bare) + BARE_REQUESTS * bare
    return replace(spent, sqs_requests=sqs, s3_puts=spent.s3_puts + (job.result is not None))


def row_bytes(job: Job) -> int:
    """As DynamoDB counts it: attributes' names and values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    values = {"pk": job.key, **attributes(job)}
    return sum(len(name) + _value_bytes(value) for name, value in values.items())


def _created(spent: Spent, job: Job) -> Spent:
    """The list index's write, and the payload where the row has no room for it."""
    units = spent.write_units + (job.list_shard is not None)
    match job.payload_place:
        case "side":
            return replace(spent, write_units=units + SIDE_PAYLOAD_UNITS)
        case "s3":
            return replace(spent, write_units=units, s3_puts=1)
    return replace(spent, write_units=units)


def _run(spent: Spent, run_s: float, memory_mb: int, runs: int = 1) -> Spent:
    seconds = run_s + runs * INVOCATION_SHARE * OVERHEAD_S
    return replace(spent, invocations=runs * INVOCATION_SHARE, gb_s=seconds * memory_mb / 1024)


def _read_payload(spent: Spent, job: Job, times: int) -> Spent:
    match job.payload_place:
        case "side":
            return replace(spent, read_units=times)
        case "s3":
            return replace(spent, s3_gets=times)
    return spent


def _units(job: Job) -> int:
    return math.ceil(row_bytes(job) / 1024)


def _value_bytes(value: object) -> int:
    match value:
        case bool():
            return 1
        case int():
            return math.ceil(len(str(abs(value)).strip("0")) / 2) + 1 + (value < 0)
        case tuple():
            return 3 + sum(1 + _value_bytes(element) for element in value)
    return len(str(value).encode())
