"""The embedded endpoint with a meter: what goes over the wire is counted there, whoever sends it.

Rules of this file:
1. Every request is counted by its service and operation. What DynamoDB bills for it is computed from the item as it
   stood before and as it stands after, never from what the client says it did.
2. A DynamoDB operation that is in none of the tables is refused, so that nothing goes by uncounted.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from moto.core.request import Request
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

from infra.local.endpoint import ACCOUNT, Answer, Endpoint
from infra.local.in_process import InProcessSession
from tests.bench.capacity import Item, index_units, item_bytes, read_units, write_units

WRITES: Final = {"UpdateItem", "PutItem"}
READS: Final = {"GetItem", "Query", "Scan"}
BATCHES: Final = {"BatchGetItem"}
FREE: Final = {"CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTimeToLive"}

SQS_REQUEST_BYTES: Final = 64 * 1024
"""Each started one of a payload is billed as a request: https://aws.amazon.com/sqs/pricing/"""


@dataclass(frozen=True, slots=True)
class Table:
    """`indexes`: (its own keys, all that it holds) of each; ours hold keys alone."""

    name: str
    keys: tuple[str, ...]
    indexes: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(slots=True)
class Tally:
    """`requests`: "service Operation" → how many. `row_bytes`: of the largest row written, by table."""

    requests: Counter[str] = field(default_factory=Counter)
    write_units: int = 0
    index_units: int = 0
    read_units: float = 0
    sqs_billed: int = 0
    row_bytes: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "Tally":
        return replace(self, requests=Counter(self.requests), row_bytes=dict(self.row_bytes))

    def without(self, other: "Tally") -> "Tally":
        """What is left when `other`, a part of it, is taken off."""
        return Tally(
            self.requests - other.requests,
            self.write_units - other.write_units,
            self.index_units - other.index_units,
            self.read_units - other.read_units,
            self.sqs_billed - other.sqs_billed,
            self.row_bytes,
        )


class MeteredEndpoint(Endpoint):
    """`tally` is what was counted since it was last replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.session = partial(InProcessSession, self)
        self.tally = Tally()
        self._tables: dict[str, Table] = {}

    def _call_moto(self, service: str, request: Request) -> Answer:
        operation = _operation(service, request)
        self.tally.requests[f"{service} {operation}"] += 1
        match service:
            case "dynamodb":
                return self._dynamodb(operation, request)
            case "sqs":
                return self._sqs(request)
        return super()._call_moto(service, request)

    def _sqs(self, request: Request) -> Answer:
        answer = super()._call_moto("sqs", request)
        body = answer.body if isinstance(answer.body, bytes) else b""
        size_bytes = max(len(request.get_data()), len(body))  # a send's bodies, or a receive's
        self.tally.sqs_billed += -(-size_bytes // SQS_REQUEST_BYTES)
        return answer

    def _dynamodb(self, operation: str, request: Request) -> Answer:
        asked = json.loads(request.get_data())
        if operation in WRITES:
            return self._write(request, asked)
        answer = super()._call_moto("dynamodb", request)
        if operation in READS:
            self._count_read(asked, json.loads(answer.body[:]))
        elif operation in BATCHES:
            self._count_batch(asked, json.loads(answer.body[:]))
        elif operation not in FREE:
            raise LookupError(f"the meter does not know what {operation} costs")
        return answer

    def _count_read(self, asked: dict[str, Any], said: dict[str, Any]) -> None:
        items = said.get("Items") or [said.get("Item", {})]
        self.tally.read_units += read_units(items, consistent=bool(asked.get("ConsistentRead")))

    def _count_batch(self, asked: dict[str, Any], said: dict[str, Any]) -> None:
        """Each item is billed by itself; what is not there, as one of the smallest."""
        for table, wanted in asked["RequestItems"].items():
            items = said["Responses"].get(table, [])
            missing: list[dict[str, Any]] = [{}] * (len(wanted["Keys"]) - len(items))
            for item in (*items, *missing):
                self.tally.read_units += read_units([item], consistent=bool(wanted.get("ConsistentRead")))

    def _write(self, request: Request, asked: dict[str, Any]) -> Answer:
        table = self._table(asked["TableName"])
        named = asked.get("Key") or asked["Item"]
        key = {name: named[name] for name in table.keys}
        before = _item(table, key)
        answer = super()._call_moto("dynamodb", request)
        if answer.status == 200 or b"ConditionalCheckFailed" in answer.body[:]:
            self._count_write(table, before, _item(table, key), asked.get("Item"))
        return answer

    def _count_write(self, table: Table, before: Item | None, after: Item | None, wanted: Item | None) -> None:
        self.tally.write_units += write_units(before, wanted or after)
        self.tally.index_units += sum(index_units(before, after, *index) for index in table.indexes)
        largest = max(item_bytes(after or {}), self.tally.row_bytes.get(table.name, 0))
        self.tally.row_bytes[table.name] = largest

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            table = _store().get_table(name)
            keys = _names(table.schema)
            own = [_names(index.schema) for index in table.global_indexes]
            self._tables[name] = Table(name, keys, tuple((index, (*keys, *index)) for index in own))
        return self._tables[name]


def _store() -> DynamoDBBackend:
    return dynamodb_backends[ACCOUNT]["us-east-1"]


def _item(table: Table, key: Mapping[str, Any]) -> Item | None:
    """As it is stored, past the wire: the meter's own looks are not counted."""
    found = _store().get_item(table.name, dict(key))
    return None if found is None else dict(found.to_json()["Attributes"])


def _operation(service: str, request: Request) -> str:
    """The JSON protocols name it; of the others, the method (and for S3 what it does to an upload) tells the price."""
    target = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    if target or service != "s3":
        return target or request.method
    return f"{request.method} bucket" if urlsplit(request.url).path.count("/") == 1 else request.method


def _names(schema: list[dict[str, str]]) -> tuple[str, ...]:
    return tuple(part["AttributeName"] for part in schema)
