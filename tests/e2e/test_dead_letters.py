"""Dead letters and their operator, on a real local cloud: what dies, what comes back, what is kept."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.aws.clients import Clients
from shared.ids import derived_job_id
from tests.e2e.cli import Longshore, eventually, up

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

SHORT = {
    "handlers.jobs.${Name}": "tests.e2e.doomed.${Name}",
    "handlers.dead_letter.handler": "tests.e2e.doomed.dead_letter.handler",
    "FunctionTimeout: 75": "FunctionTimeout: 5",
    "Visibility: 106": "Visibility: 10",
    "Visibility: 345": "Visibility: 1",
    "maxReceiveCount: 20": "maxReceiveCount: 3",
}
"""What the copy of the template has instead: short waits, and functions that die when they are asked to."""


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    directory = tmp_path_factory.mktemp("doomed")
    text = TEMPLATE.read_text()
    for ours, short in SHORT.items():
        assert ours in text
        text = text.replace(ours, short)
    (directory / "template.yaml").write_text(text)
    with up(directory, "--template", str(directory / "template.yaml")) as running:
        yield running


def send(longshore: Longshore, job_type: str, *bodies: str) -> list[str]:
    """Bare messages, at once; → their ids."""

    async def sent() -> list[str]:
        clients = Clients(endpoint_url=longshore.endpoint, region="us-east-1", credentials=("local", "local"))
        url = (await clients.call("sqs", "get_queue_url", QueueName=f"longshore-{job_type}"))["QueueUrl"]
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
        answer = await clients.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
        await clients.close()
        return [entry["MessageId"] for entry in answer["Successful"]]

    return asyncio.run(sent())


def bare(operation: str, job_id: str) -> str:
    return json.dumps({"operation": operation, "job_id": job_id, "options": {"retries": 0}})


def ended(longshore: Longshore, job_id: str) -> Any:
    """The job's document, once it is over."""

    def look() -> Any:
        answer = longshore("status", job_id, "--json")
        job = answer.document if answer.code == 0 else {"status": "RUNNING"}
        return job if job["status"] not in ("QUEUED", "RUNNING") else None

    return eventually(look, deadline_s=150)


def test_what_kills_its_workers_is_buried_with_its_last_words_and_its_neighbours_are_untouched(
    longshore: Longshore,
) -> None:
    send(longshore, "generic", bare("echo", "left"), bare("die", "killer"), bare("echo", "right"))
    killer = ended(longshore, "killer")
    assert (killer["status"], killer["error"]["code"], killer["attempts"]) == ("FAILED", "worker_died", 1)
    assert [move["event"] for move in killer["history"]] == ["claim_bare", "reclaim", "bury"]
    assert killer["fingerprint"].startswith("worker_died-")
    for neighbour in (ended(longshore, name) for name in ("left", "right")):
        assert (neighbour["status"], neighbour["attempts"]) == ("SUCCESS", 0)
        assert neighbour["history"][-1]["event"] == "succeed"


def test_what_a_broken_deployment_gave_up_heals_and_what_cannot_be_read_is_kept(longshore: Longshore) -> None:
    """No attempt is lost: the function could not even be imported."""
    named, nameless, nonsense = send(
        longshore, "extract", '{"database": "sqlite:///x", "tables": ["t"], "job_id": "named"}',
        '{"database": "sqlite:///x", "tables": ["t"]}', "non\u202esense",
    )  # fmt: skip
    assert named
    job_id = derived_job_id("extract", nameless)
    item_id = f"extract#{nonsense}"
    listed = eventually(lambda: longshore("quarantine", "list", "--json").document["items"])
    assert [(item["id"], item["source"], item["body"]) for item in listed] == [(item_id, "extract", "non\u202esense")]
    log = longshore.directory / ".longshore" / "up.log"
    eventually(lambda: log.read_text().count('"event": "dead_letter_sent_back"') > 1)
    (longshore.directory / "healthy").touch()
    for job in (ended(longshore, "named"), ended(longshore, job_id)):
        assert (job["status"], job["attempts"]) == ("SUCCESS", 0)
        assert [move["event"] for move in job["history"]] == ["claim_bare", "succeed"]

    shown = longshore("quarantine", "list", "--source", "extract")
    assert shown.out.startswith("not JSON: ")
    assert f"{item_id}  " in shown.out
    assert r"non\u202esense" in shown.out
    assert r"non\u202esense" in longshore("quarantine", "show", item_id).out
    refused = longshore("quarantine", "retry", item_id)
    assert (refused.code, refused.out) == (2, "")
    assert f"{item_id}: not JSON" in refused.err
    assert longshore("quarantine", "retry", "--all", "--source", "stream", "--json").document == {"retried": {}}
    for arguments in ((), ("--all",), (item_id, "--all", "--source", "x"), (item_id, "--source", "x")):
        assert longshore("quarantine", "retry", *arguments).code == 2
    assert longshore("quarantine", "show", "extract#none").code == 3
    assert "nothing is in quarantine" in longshore("quarantine", "list", "--source", "stream").err
