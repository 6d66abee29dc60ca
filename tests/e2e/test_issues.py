"""Jobs on issues through the whole product: our own template, real functions, a GitHub and models over HTTP."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from infra.local.cloud import LocalCloud
from shared.runtime.webhooks import LOCAL_VARIABLE
from tests.e2e.front.house import KEY, TEMPLATE, House, Visitor
from tests.github import API_KEY, TOKEN, Github, Mind, secrets, serving
from tests.handlers.test_issues import ADD, FILES, FIX, proposal

Json = Any  # a JSON document

MODEL = "arn:aws:bedrock:us-east-1::foundation-model/some.model-v1:0"


def test_an_issue_is_commented_on_and_resolved_and_no_secret_is_left_anywhere() -> None:
    asyncio.run(_story())


async def _story() -> None:
    github, mind, lines = Github(dict(FILES)), Mind(_says), list[str]()
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serving(one.answer)) for one in (github, mind)]
        env = {LOCAL_VARIABLE: "1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": urls[1]}
        models = {"BedrockModelArns": MODEL}
        cloud = LocalCloud(TEMPLATE, key=KEY, env=env, parameters=models, output=lambda _, line: lines.append(line))
        house = House(await stack.enter_async_context(cloud), lines)
        for name, value in secrets(*urls).items():
            client = await cloud.clients.get("secretsmanager")
            await client.create_secret(Name=f"longshore/acme/{name}", SecretString=value)
        ann = await stack.enter_async_context(house.visitor())
        commented, resolved = await asyncio.gather(
            _result_of(ann, type="comment_on_issue", model="secret://model"), _result_of(ann, type="auto_resolve_issue")
        )
    assert commented["artifacts"]["comment_url"].startswith("https://github.test/c/")
    made = resolved["artifacts"]
    assert github.text(made["branch_name"], "shop/add.py") == ADD.replace("-", "+")
    assert (resolved["metadata"]["attempts"], made["pull_request_url"]) == (2, "https://github.test/p/1")
    assert {one.url.partition("/model/")[2] for one in mind.seen if "/model/" in one.url} == {
        f"{MODEL.replace(':', '%3A').replace('/', '%2F')}/converse"
    }
    said = json.dumps([commented, resolved, github.comments, github.pulls, github.commits, lines])
    assert TOKEN not in said
    assert API_KEY not in said


def _says(instructions: str, document: Json) -> Json:
    """Its first change does not fit."""
    if '"files"' in instructions:
        return {"files": ["shop/add.py"]}
    if '"comment"' in instructions:
        return {"comment": "It subtracts."}
    return proposal(FIX if "problem" in document else FIX | {"find": "nowhere"})


async def _result_of(ann: Visitor, **payload: object) -> Json:
    status, accepted = await ann.ask("POST", "/jobs", {"issue_number": 7, "repo_full_name": "acme/shop", **payload})
    assert status == 202, accepted
    job = await ann.until(accepted["job_id"], "SUCCESS", "FAILED")
    assert job["status"] == "SUCCESS", job
    _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
    return result["data"]["result"]
