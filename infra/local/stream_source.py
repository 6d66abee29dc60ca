"""From a table's stream to a function, as Lambda's DynamoDB event source mapping does it.

Rules of this file:
1. One invocation at a time per shard, in the order of the records; a shard waits for its parent.
2. A batch is tried until it succeeds: from the first record that a partial answer names, else in halves or whole.
3. A record is given up only by its age or its number of retries, and then goes to the failure destination.
4. What the filters keep back is never seen by the function.
5. With tumbling windows every record belongs to one, and what the function answers as `state` it is given again, until
   the window is over: then it is invoked once more, without records, and begins with no state.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
"""

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.containers import Function
from infra.local.destination import GivenUp, send_given_up
from infra.local.events import Event, InvocationFailed, failed_items, state_of, stream_record, window_fields
from infra.local.filters import passes
from infra.local.keeper import Keeper
from infra.local.specs import StreamSource
from shared.aws.clients import Clients

POLL_S: Final = 0.1
SHARDS_EVERY_S: Final = 5.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 30.0

log = structlog.get_logger("longshore.local")


@dataclass(slots=True)
class _Shard:
    stream_arn: str
    id: str
    iterator: str | None = None
    last: str | None = None
    """Sequence number of the last record taken from the shard: where a new iterator begins."""
    window: int | None = None
    """When the open tumbling window began, in seconds since the epoch."""
    state: Any = None


class StreamPoller:
    """`run()` follows every shard of the table's stream until it is cancelled."""

    def __init__(
        self, source: StreamSource, function: Function, clients: Clients, keeper: Keeper | None = None
    ) -> None:
        self._keeper = keeper
        self._source = source
        self._function = function
        self._clients = clients

    async def run(self) -> None:
        dynamodb = await self._clients.get("dynamodb")
        arn: str = (await dynamodb.describe_table(TableName=self._source.table))["Table"]["LatestStreamArn"]
        following: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                shards = await self._shards(arn)
                for shard_id, parent in shards.items():
                    is_next = parent not in shards or (parent in following and following[parent].done())
                    if shard_id not in following and is_next:
                        following[shard_id] = tasks.create_task(self._follow(_Shard(arn, shard_id)))
                await asyncio.sleep(SHARDS_EVERY_S)

    async def _shards(self, arn: str) -> dict[str, str | None]:
        """Every shard of the stream → its parent."""
        streams = await self._clients.get("dynamodbstreams")
        found: dict[str, str | None] = {}
        page: dict[str, Any] = {}
        while True:
            page = (await streams.describe_stream(StreamArn=arn, **page))["StreamDescription"]
            found |= {shard["ShardId"]: shard.get("ParentShardId") for shard in page["Shards"]}
            if "LastEvaluatedShardId" not in page:
                return found
            page = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}

    async def _follow(self, shard: _Shard) -> None:
        if self._keeper is not None:
            shard.last = self._keeper.position(self._function.spec.name, shard.stream_arn)
        shard.iterator = await self._iterator(shard)
        while shard.iterator is not None:
            records = [stream_record(record, shard.stream_arn) for record in await self._batch(shard)]
            for window, some in itertools.groupby(records, self._window_of):
                if window != shard.window:
                    await self._end_window(shard)
                    shard.window, shard.state = window, {}
                await self._deliver(shard, batch := [*some])
                if self._keeper is not None:
                    last = batch[-1]["dynamodb"]["SequenceNumber"]
                    self._keeper.note_position(self._function.spec.name, shard.stream_arn, last)
            if not records and self._is_window_over(shard):  # else more of the window's records may wait in the shard
                await self._end_window(shard)
        await self._end_window(shard)

    def _window_of(self, record: Event) -> int | None:
        """When the record's window began."""
        length_s = self._source.tumbling_s
        return record["dynamodb"]["ApproximateCreationDateTime"] // length_s * length_s if length_s else None

    def _is_window_over(self, shard: _Shard) -> bool:
        return shard.window is not None and time.time() >= shard.window + self._source.tumbling_s

    async def _end_window(self, shard: _Shard) -> None:
        """Lambda goes no further before this has succeeded."""
        retries = 0
        while shard.window is not None:
            try:
                await self._invoke(shard, [], is_final=True)
                shard.window = None
            except InvocationFailed as error:
                retries += 1
                log.warning("window_not_ended", function=self._function.spec.name, error=error.message)
                await asyncio.sleep(min(PAUSE_FIRST_S * 2**retries, PAUSE_MAX_S))

    async def _iterator(self, shard: _Shard) -> str | None:
        streams = await self._clients.get("dynamodbstreams")
        if shard.last is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.last}
        else:
            start = {"ShardIteratorType": "TRIM_HORIZON" if self._source.from_beginning else "LATEST"}
        answer = await streams.get_shard_iterator(StreamArn=shard.stream_arn, ShardId=shard.id, **start)
        return str(answer["ShardIterator"])

    async def _batch(self, shard: _Shard) -> list[dict[str, Any]]:
        """Up to a batch of records: what there is, or what comes while the window since the first is open."""
        clock = asyncio.get_running_loop().time
        records: list[dict[str, Any]] = []
        window_ends: float | None = None
        while shard.iterator is not None and len(records) < self._source.batch_size:
            more = await self._records(shard, self._source.batch_size - len(records))
            records += more
            if records and window_ends is None:
                window_ends = clock() + self._source.window_s
            if window_ends is not None and clock() >= window_ends:
                break
            if not more and self._is_window_over(shard):
                break
            if not more:
                await asyncio.sleep(POLL_S)
        return records

    async def _records(self, shard: _Shard, count: int) -> list[dict[str, Any]]:
        streams = await self._clients.get("dynamodbstreams")
        try:
            answer = await streams.get_records(ShardIterator=shard.iterator, Limit=count)
        except (ClientError, BotoCoreError) as error:
            log.warning("get_records_failed", stream=shard.stream_arn, error=str(error))
            await asyncio.sleep(PAUSE_FIRST_S)
            shard.iterator = await self._iterator(shard)  # iterators expire after 15 minutes
            return []
        shard.iterator = answer.get("NextShardIterator")
        records: list[dict[str, Any]] = answer["Records"]
        if records:
            shard.last = records[-1]["dynamodb"]["SequenceNumber"]
        return [record for record in records if passes(record, self._source.filters)]

    async def _deliver(self, shard: _Shard, records: list[Event]) -> None:
        """Returns when every record has succeeded or has been given up."""
        retries = 0
        while records := await self._without_old(shard, records, retries):
            try:
                done = await self._invoke(shard, records)
            except InvocationFailed as error:
                log.warning(
                    "invocation_failed", function=self._function.spec.name, kind=error.kind, error=error.message
                )
                if self._source.bisects and len(records) > 1:
                    middle = len(records) // 2
                    await self._deliver(shard, records[:middle])
                    records = records[middle:]
                    continue
                done = 0
            records = records[done:]
            if done:
                retries = 0
            elif 0 <= self._source.retries_max <= retries:
                await self._give_up(shard, records, "RetryAttemptsExhausted", retries)
                return
            else:
                retries += 1
                await asyncio.sleep(min(PAUSE_FIRST_S * 2**retries, PAUSE_MAX_S))

    async def _invoke(self, shard: _Shard, records: list[Event], *, is_final: bool = False) -> int:
        """How many of the records, from the first on, have succeeded."""
        event: Event = {"Records": records}
        if shard.window is not None:
            ends_s = shard.window + self._source.tumbling_s
            event |= window_fields(shard.window, ends_s, shard.state, is_final=is_final)
            event |= {"shardId": shard.id, "eventSourceARN": shard.stream_arn}
        answer = await self._function.invoke(event)
        if shard.window is not None:
            shard.state = state_of(answer)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        failed = failed_items(answer, numbers) if self._source.reports_items else set()
        return min((numbers.index(number) for number in failed), default=len(numbers))

    async def _without_old(self, shard: _Shard, records: list[Event], retries: int) -> list[Event]:
        if self._source.record_age_max_s < 0:
            return records
        oldest_s = time.time() - self._source.record_age_max_s
        old = [record for record in records if record["dynamodb"]["ApproximateCreationDateTime"] < oldest_s]
        if old:
            await self._give_up(shard, old, "RecordAgeExceeded", retries)
        return records[len(old) :]

    async def _give_up(self, shard: _Shard, records: list[Event], condition: str, retries: int) -> None:
        log.error("records_given_up", function=self._function.spec.name, count=len(records), condition=condition)
        given_up = GivenUp(self._function.spec.name, shard.stream_arn, shard.id, condition, retries + 1, records)
        await send_given_up(given_up, self._source.on_failure_arn, self._clients, now_s=time.time())
