"""The table beside the jobs: write-once items. No stream, so that they wake nobody."""

from collections.abc import Sequence
from typing import Any

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.aws.jobs import CONDITION_FAILED
from shared.limits import SIDE_BODY_BYTES_MAX, check_size
from shared.names import Names


class AwsSide:
    def __init__(self, clients: Clients, names: Names) -> None:
        self._clients = clients
        self._table = names.side_table

    async def put_once(self, pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
        check_size("body", body, SIDE_BODY_BYTES_MAX)
        expiry = {} if expires_at is None else {"expires_at": {"N": str(expires_at)}}
        item = {"pk": {"S": pk}, "sk": {"S": sk}, "body": {"S": body}} | expiry
        try:
            await self._call("put_item", Item=item, ConditionExpression="attribute_not_exists(pk)")
        except AwsRefusal as refusal:
            if refusal.code != CONDITION_FAILED:
                raise
            return False
        return True

    async def get(self, pk: str, sk: str) -> str | None:
        answer = await self._call("get_item", Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        item = answer.get("Item")
        return str(item["body"]["S"]) if item else None

    async def query(self, pk: str, *, limit: int, prefix: str = "") -> Sequence[tuple[str, str]]:
        """As many pages of 1 MB as it takes."""
        condition, values = "pk = :pk", {":pk": {"S": pk}}
        if prefix:
            condition, values = f"{condition} AND begins_with(sk, :prefix)", values | {":prefix": {"S": prefix}}
        found: list[tuple[str, str]] = []
        start: dict[str, Any] = {}
        while True:
            answer = await self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=False,
                Limit=limit - len(found),
                **start,
            )
            found += [(item["sk"]["S"], item["body"]["S"]) for item in answer["Items"]]
            if len(found) >= limit or "LastEvaluatedKey" not in answer:
                return found
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("dynamodb", operation, TableName=self._table, **arguments)
