"""Functions that say what they see, as lines of JSON on stdout, and do what their messages and rows ask for."""

import asyncio
import json
import os
import subprocess
import time
from typing import Any

from shared.aws.clients import Clients

calls = 0


def on_queue(event: dict[str, Any], context: Any) -> dict[str, Any]:
    global calls  # noqa: PLW0603  # shows that a container keeps its modules between events
    if not event["Records"]:  # only to start a container
        return {"batchItemFailures": []}
    calls += 1
    _say(event=event, calls=calls, left_ms=context.get_remaining_time_in_millis(), kind=os.environ["KIND"])
    failed = []
    for record in event["Records"]:
        asked = json.loads(record["body"])
        match asked["do"]:
            case "raise":
                raise ValueError("as asked")
            case "die":
                os._exit(3)
            case "hang":
                _say(grandchild=subprocess.Popen(["sleep", "60"]).pid)
                time.sleep(60)
            case "sleep":
                _say(began=time.monotonic())
                time.sleep(asked["s"])
                _say(ended=time.monotonic())
            case "write":
                asyncio.run(_write(asked["key"]))
            case "fail_once" if record["attributes"]["ApproximateReceiveCount"] == "1":
                failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


async def _write(key: str) -> None:
    """Finds the endpoint, its region and credentials by its environment alone."""
    clients = Clients()
    dynamodb = await clients.get("dynamodb")
    await dynamodb.put_item(TableName="t-rows", Item={"pk": {"S": key}})
    await clients.close()


tries: dict[str, int] = {}


def on_rows(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A row `{"fails": n, "how": …}` fails n times: by an exception, or by its number in the answer."""
    _say(event=event)
    for record in event["Records"]:
        row = record["dynamodb"]["NewImage"]
        tries[row["pk"]["S"]] = tries.get(row["pk"]["S"], 0) + 1
        if tries[row["pk"]["S"]] <= int(row.get("fails", {"N": "0"})["N"]):
            if row["how"]["S"] == "raise":
                raise ValueError("as asked")
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}], "state": {}}
    seen = event.get("state", {}).get("seen", 0) + len(event["Records"])
    return {"batchItemFailures": [], "state": {"seen": seen}}


def _say(**fields: Any) -> None:
    print(json.dumps(fields | {"pid": os.getpid()}))
