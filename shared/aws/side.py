"""The table beside the jobs. No stream, so that its items wake nobody."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.aws.jobs import CONDITION_FAILED, read_batch
from shared.limits import LIST_MAX, SIDE_BODY_BYTES_MAX, check_number, check_size
from shared.names import Names
from shared.ports import Dice

SHOW: Final = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


class AwsSide:
    def __init__(self, clients: Clients, names: Names, dice: Dice) -> None:
        self._clients = clients
        self._dice = dice
        self._table = names.side_table

    async def put_once(self, pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
        return await self._put(pk, sk, body, expires_at, _condition(None)) is None

    async def swap(self, pk: str, sk: str, *, old: str | None, new: str | None, expires_at: int | None = None) -> bool:
        if new is not None:
            refusal = await self._put(pk, sk, new, expires_at, _condition(old) | SHOW)
        else:
            key = {"pk": {"S": pk}, "sk": {"S": sk}}
            refusal = await self._conditionally("delete_item", Key=key, **_condition(old), **SHOW)
        if refusal is None:
            return True
        item = refusal.response.get("Item")
        return (str(item["body"]["S"]) if item else None) == new

    async def get(self, pk: str, sk: str) -> str | None:
        answer = await self._call("get_item", Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        item = answer.get("Item")
        return str(item["body"]["S"]) if item else None

    async def unite(
        self, pk: str, sk: str, sets: Mapping[str, Collection[int]], *, expires_at: int
    ) -> Mapping[str, frozenset[int]]:
        named = [(name, numbers) for name, numbers in sets.items() if numbers]
        added = ", ".join(f"#{place} :{place}" for place in range(len(named)))
        values = {f":{place}": {"NS": [str(n) for n in sorted(numbers)]} for place, (_, numbers) in enumerate(named)}
        answer = await self._call(
            "update_item",
            Key={"pk": {"S": pk}, "sk": {"S": sk}},
            UpdateExpression=f"ADD {added} SET #e = :e",
            ExpressionAttributeNames={f"#{place}": name for place, (name, _) in enumerate(named)}
            | {"#e": "expires_at"},
            ExpressionAttributeValues=values | {":e": {"N": str(expires_at)}},
            ReturnValues="ALL_NEW",
        )
        return _sets(answer["Attributes"])

    async def united(self, keys: Sequence[tuple[str, str]]) -> Sequence[Mapping[str, frozenset[int]]]:
        check_number("keys", len(keys), 0, LIST_MAX)
        asked = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]
        items = await read_batch(self._clients, self._table, asked, self._dice)
        found = {(item["pk"]["S"], item["sk"]["S"]): _sets(item) for item in items}
        return [found.get(key, {}) for key in keys]

    async def query(
        self, pk: str, *, limit: int, prefix: str = "", up_to: str | None = None
    ) -> Sequence[tuple[str, str]]:
        """As many pages of 1 MB as it takes."""
        condition, values = "pk = :pk", {":pk": {"S": pk}}
        if prefix:
            condition, values = f"{condition} AND begins_with(sk, :prefix)", values | {":prefix": {"S": prefix}}
        if up_to is not None:
            condition, values = "pk = :pk AND sk <= :up_to", {":pk": {"S": pk}, ":up_to": {"S": up_to}}
        found: list[tuple[str, str]] = []
        start: dict[str, Any] = {}
        while True:
            answer = await self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=up_to is not None,
                Limit=limit - len(found),
                **start,
            )
            found += [(item["sk"]["S"], item["body"]["S"]) for item in answer["Items"]]
            if len(found) >= limit or "LastEvaluatedKey" not in answer:
                return found
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _put(
        self, pk: str, sk: str, body: str, expires_at: int | None, condition: dict[str, Any]
    ) -> AwsRefusal | None:
        check_size("body", body, SIDE_BODY_BYTES_MAX)
        expiry = {} if expires_at is None else {"expires_at": {"N": str(expires_at)}}
        item = {"pk": {"S": pk}, "sk": {"S": sk}, "body": {"S": body}} | expiry
        return await self._conditionally("put_item", Item=item, **condition)

    async def _conditionally(self, operation: str, **arguments: Any) -> AwsRefusal | None:
        """→ the refusal, if the condition did not hold."""
        try:
            await self._call(operation, **arguments)
        except AwsRefusal as refusal:
            if refusal.code != CONDITION_FAILED:
                raise
            return refusal
        return None

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("dynamodb", operation, TableName=self._table, **arguments)


def _sets(item: Mapping[str, Any]) -> Mapping[str, frozenset[int]]:
    return {name: frozenset(map(int, value["NS"])) for name, value in item.items() if "NS" in value}


def _condition(old: str | None) -> dict[str, Any]:
    if old is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {"ConditionExpression": "body = :old", "ExpressionAttributeValues": {":old": {"S": old}}}
