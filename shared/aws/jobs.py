"""The jobs table on DynamoDB: one move is one UpdateItem, one look is one consistent GetItem.

A refusal brings the row that refused (ALL_OLD), so that a worker's decision needs no further read; a success brings the
row only where its writer cannot foresee it, since reading it is a tenth of a small job's CPU. botocore repeats a
request whose answer was lost; the repetition is refused, and the row it brings shows by its token that the first one
had been made.
"""

import asyncio
from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any, Final

from shared.aws.clients import Clients
from shared.aws.expressions import Item, job_of, update_arguments
from shared.aws.faults import AwsRefusal
from shared.cursor import Place, read_cursor, write_cursor
from shared.errors import WorldFault
from shared.ids import row_key
from shared.job import LIST_SHARDS, Job
from shared.limits import LIST_MAX, check_number
from shared.moves import Move, foreseen, happened
from shared.names import Names
from shared.ports import Applied, Dice, Page, Refused

CONDITION_FAILED: Final = "ConditionalCheckFailedException"

BATCH_TRIES: Final = 5
"""DynamoDB may leave keys of a batch unread, a few times over, when it is busy."""


class AwsJobs:
    def __init__(self, clients: Clients, names: Names, dice: Dice) -> None:
        self._clients = clients
        self._table = names.jobs_table
        self._dice = dice

    async def apply(self, move: Move) -> Applied | Refused:
        after = foreseen(move)
        try:
            answer = await self._clients.call(
                "dynamodb",
                "update_item",
                TableName=self._table,
                ReturnValues="NONE" if after else "ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **update_arguments(move),
            )
        except AwsRefusal as refusal:
            if refusal.code != CONDITION_FAILED:
                raise
            return _refused(move, refusal.response.get("Item"))
        return Applied(after or job_of(answer["Attributes"]))

    async def get(self, tenant_id: str, job_id: str) -> Job | None:
        key = {"pk": {"S": row_key(tenant_id, job_id)}}
        answer = await self._clients.call("dynamodb", "get_item", TableName=self._table, Key=key, ConsistentRead=True)
        item = answer.get("Item")
        return job_of(item) if item else None

    async def get_many(self, tenant_id: str, job_ids: Sequence[str]) -> Sequence[Job | None]:
        check_number("job_ids", len(job_ids), 0, LIST_MAX)
        keys = [{"pk": {"S": row_key(tenant_id, job_id)}} for job_id in job_ids]
        found = {
            item["pk"]["S"]: job_of(item) for item in await read_batch(self._clients, self._table, keys, self._dice)
        }
        return [found.get(key["pk"]["S"]) for key in keys]

    async def list(self, tenant_id: str, *, limit: int, cursor: str | None = None) -> Page:
        """One query per shard of the index, merged; then the rows of those that made it, in one batch."""
        check_number("limit", limit, 1, LIST_MAX)
        after = read_cursor(cursor, tenant_id) if cursor else {}
        shards = [f"{tenant_id}#{number}" for number in range(LIST_SHARDS)]
        found = await asyncio.gather(*(self._query(shard, after.get(shard), limit) for shard in shards))
        newest = list(islice(merge(*found, key=_age), limit + 1))
        rows = await self._rows([key for _, (_, key) in newest[:limit]])
        return Page(rows, write_cursor(after | dict(newest[:limit])) if len(newest) > limit else None)

    async def scan(self, *, cursor: str | None = None) -> Page:
        start = {} if cursor is None else {"ExclusiveStartKey": {"pk": {"S": cursor}}}
        answer = await self._clients.call("dynamodb", "scan", TableName=self._table, **start)
        last = answer.get("LastEvaluatedKey")
        read = [(item["pk"]["S"], _readable(item)) for item in answer["Items"]]
        return Page(
            jobs=tuple(job for _, job in read if job is not None),
            cursor=last["pk"]["S"] if last else None,
            unreadable=tuple(key for key, job in read if job is None),
        )

    async def _query(self, shard: str, after: Place | None, limit: int) -> Sequence[tuple[str, Place]]:
        """(shard, place) of one more than `limit` jobs, newest first."""
        start = {} if after is None else {"ExclusiveStartKey": _index_key(shard, after)}
        answer = await self._clients.call(
            "dynamodb",
            "query",
            TableName=self._table,
            IndexName="by_created",
            KeyConditionExpression="list_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": shard}},
            ScanIndexForward=False,
            Limit=limit + 1,
            **start,
        )
        return [(shard, (int(item["created_at"]["N"]), item["pk"]["S"])) for item in answer["Items"]]

    async def _rows(self, keys: Sequence[str]) -> tuple[Job, ...]:
        """In the order of `keys`; a row that is gone by now is left out."""
        items = await read_batch(
            self._clients, self._table, [{"pk": {"S": key}} for key in keys], self._dice, is_consistent=False
        )
        found = {item["pk"]["S"]: job_of(item) for item in items}
        return tuple(found[key] for key in keys if key in found)


async def read_batch(
    clients: Clients, table: str, keys: Sequence[Item], dice: Dice, *, is_consistent: bool = True
) -> list[Item]:
    """Up to 100 items, in no order, each key once: those that are there."""
    found: list[Item] = []
    unique = {str(key): key for key in keys}
    asked: dict[str, Any] = {"Keys": [*unique.values()], "ConsistentRead": is_consistent}
    wanted = {table: asked} if keys else {}
    for attempt in range(BATCH_TRIES):
        if not wanted:
            return found
        await asyncio.sleep(dice() * 0.05 * 2**attempt if attempt else 0)
        answer = await clients.call("dynamodb", "batch_get_item", RequestItems=wanted)
        found += answer["Responses"].get(table, ())
        wanted = answer.get("UnprocessedKeys", {})
    if wanted:
        raise WorldFault("throttled", f"dynamodb left keys of a batch unread {BATCH_TRIES} times")
    return found


def _refused(move: Move, item: Item | None) -> Applied | Refused:
    image = job_of(item) if item else None
    return Applied(image) if image is not None and happened(move, image) else Refused(image)


def _readable(item: Item) -> Job | None:
    try:
        return job_of(item)
    except (KeyError, TypeError, ValueError):
        return None


def _age(entry: tuple[str, Place]) -> int:
    _, (created_at, _) = entry
    return -created_at


def _index_key(shard: str, place: Place) -> Mapping[str, Any]:
    created_at, key = place
    return {"list_shard": {"S": shard}, "created_at": {"N": str(created_at)}, "pk": {"S": key}}
