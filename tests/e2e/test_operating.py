"""What an operator does, against a running local cloud: cancel, redrive, retry what was in quarantine."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from shared.ids import derived_job_id
from shared.runtime.quarantine import quarantine
from shared.runtime.settings import Settings
from shared.runtime.wiring import ports_of
from tests.e2e.cli import Answer, Longshore, eventually, up


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    with up(tmp_path_factory.mktemp("operating")) as running:
        yield running


def failed(longshore: Longshore, count: int, tenant: str) -> list[str]:
    """Jobs that have failed alike; → their ids."""
    submitted = [longshore("submit", "generic", "operation=fail", "--tenant", tenant) for _ in range(count)]
    ids = [answer.out.strip() for answer in submitted]
    assert longshore("watch", *ids, "--tenant", tenant).code == 1
    return ids


def status(longshore: Longshore, job_id: str, tenant: str = "default") -> str:
    found: str = longshore("status", job_id, "--tenant", tenant, "--json").document["status"]
    return found


def test_what_is_queued_is_cancelled_at_once_and_the_others_are_answered_for_one_by_one(longshore: Longshore) -> None:
    waiting = longshore("submit", "generic", "operation=echo", "--delay", "10m").out.strip()
    done = longshore("submit", "generic", "operation=echo", "--watch").out.strip()
    cancelled = longshore("cancel", done, waiting, "job_none")
    assert cancelled.out == f"{waiting}  CANCELLED\n"
    assert cancelled.code == 2
    assert f"{done}: the job has ended: SUCCESS" in cancelled.err
    assert "job_none: no job job_none" in cancelled.err
    again = longshore("cancel", waiting, "--json")
    assert (again.code, [job["status"] for job in again.document["jobs"]]) == (0, ["CANCELLED"])
    assert longshore("cancel", "job_none").code == 3
    assert longshore("cancel").code == 2


def test_what_runs_is_asked_to_stop_and_waited_for(longshore: Longshore) -> None:
    job_id = longshore("submit", "generic", "operation=count", "parameters.to:=50").out.strip()
    eventually(lambda: status(longshore, job_id) == "RUNNING")
    cancelled = longshore("cancel", "--wait", job_id)
    assert (cancelled.code, cancelled.out) == (0, f"{job_id}  asked to stop\n")
    history = longshore("status", job_id, "--json").document["history"]
    assert [move["event"] for move in history] == ["submit", "claim", "request_cancel", "cancelled"]
    assert history[2]["who"].startswith("cli-")


def test_jobs_are_run_again_by_their_failure(longshore: Longshore) -> None:
    tenant = ("--tenant", "again")
    ids = failed(longshore, 3, "again")
    listed = longshore("list", *tenant, "--json").document["jobs"]
    (fingerprint,) = {job["fingerprint"] for job in listed}
    assert fingerprint in longshore("list", *tenant).out
    assert fingerprint in longshore("status", ids[0], *tenant).out

    counted = longshore("redrive", "--error", fingerprint, "--dry-run", *tenant)
    assert (counted.code, counted.out) == (0, "")
    assert f"3  generic  FAILED  {fingerprint}" in counted.err
    asked = longshore("redrive", "--error", fingerprint, *tenant)
    assert (asked.code, asked.out) == (2, "")
    assert "Run 3 jobs again? Nobody can be asked here: say so with --yes" in asked.err
    assert {status(longshore, job_id, "again") for job_id in ids} == {"FAILED"}

    again = longshore("redrive", "--error", fingerprint, "--rate", "2/s", "--yes", *tenant)
    assert again.code == 0
    assert {*again.out.split()} == {*ids}
    assert longshore("watch", *ids, *tenant).code == 1
    events = longshore("status", ids[0], *tenant, "--json").document["history"]
    assert [move["event"] for move in events] == ["submit", "claim", "fail", "redrive", "claim", "fail"]
    both = longshore("redrive", "--type", "generic", "--since", "1h", "--yes", "--json", *tenant).document
    assert {*both["selected"]} == {*both["redriven"]} == {*ids}


def test_a_canary_goes_no_further_than_the_first_that_fails_the_same_way(longshore: Longshore) -> None:
    tenant = ("--tenant", "canary")
    failed(longshore, 3, "canary")
    hint = longshore("errors", *tenant).err
    (fingerprint,) = {job["fingerprint"] for job in longshore("list", *tenant, "--json").document["jobs"]}
    assert f"longshore redrive --error {fingerprint} --canary " in hint
    stopped = longshore("redrive", "--fingerprint", fingerprint, "--canary", *tenant)
    assert stopped.code == 1
    assert "the same failure is back" in stopped.err
    canary = stopped.out.strip()
    assert status(longshore, canary, "canary") == "FAILED"
    assert "1 run again, none succeeded, 2 left alone" in longshore("status", canary, *tenant).out


def test_a_canary_goes_on_to_all_while_they_succeed(longshore: Longshore) -> None:
    tenant = ("--tenant", "mended")
    path = longshore.directory / "mended.db"
    ids = [longshore("submit", "backup", f"database={path}", *tenant).out.strip() for _ in range(3)]
    assert longshore("watch", *ids, *tenant).code == 1
    (error,) = {longshore("status", job_id, *tenant, "--json").document["fingerprint"] for job_id in ids}
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (n INTEGER)")
    done = longshore("redrive", "--error", error, "--type", "backup", "--canary", *tenant)
    assert (done.code, {status(longshore, job_id, "mended") for job_id in ids}) == (0, {"SUCCESS"})
    assert "run again: 3, succeeded: 3" in done.err


def test_what_is_not_over_is_refused_and_the_rest_runs_again(longshore: Longshore) -> None:
    (over,) = failed(longshore, 1, "default")
    waiting = longshore("submit", "generic", "operation=echo", "--delay", "10m").out.strip()
    answer = longshore("redrive", waiting, over, "--yes")
    assert (answer.code, answer.out) == (2, f"{over}\n")
    assert f"{waiting}: the job is QUEUED" in answer.err
    assert longshore("redrive", over, "job_none", "--yes").code == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either job ids, or"),
        (("--type", ""), "either job ids, or"),
        (("some-id", "--type", "generic"), "either job ids, or"),
        (("--status", "queued"), "not one of"),
        (("--type", "generic", "--rate", "0"), "a rate like 10/s"),
        (("--type", "generic", "--rate", "fast"), "a rate like 10/s"),
        (("--since", "yesterday"), "90s, 2h, 1d, or"),
    ],
)
def test_a_selection_that_makes_no_sense_is_exit_code_2(
    longshore: Longshore, arguments: tuple[str, ...], said: str
) -> None:
    refused: Answer = longshore("redrive", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err


def test_nothing_selected_is_nothing_done(longshore: Longshore) -> None:
    nothing = longshore("redrive", "--type", "generic", "--tenant", "nobody")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no such jobs" in nothing.err


def test_what_can_be_read_by_now_leaves_quarantine_and_runs(longshore: Longshore) -> None:
    async def kept() -> None:
        settings = Settings(endpoint_url=longshore.endpoint, region="us-east-1", credentials=("local", "local"))
        hostile = '{"longshore": 1, "tenant_id": "a", "job_id": "b", "seq": 1, "\\u001b[31m": 1}'
        async with ports_of(settings) as ports:
            for item_id, body in (("m-1", '{"operation": "echo"}'), ("m-2", "é" * 70_000), ("m-3", hostile)):
                await quarantine(ports, stack="t", source="generic", item_id=item_id, body=body, reason="bad\x1b[31m")

    asyncio.run(kept())
    listed = longshore("quarantine", "list").out
    assert r"bad\x1b[31m" in listed
    assert "in S3, quarantine/generic/m-2" in listed
    assert longshore("quarantine", "show", "generic#m-2", "--json").document["body"] == "é" * 70_000
    retried = longshore("quarantine", "retry", "generic#m-1", "generic#m-2", "generic#m-3")
    assert retried.out == "generic#m-1  sent to the queue of generic\n"
    assert "\x1b" not in retried.err
    assert retried.code == 2
    job_id = derived_job_id("generic", "m-1")
    eventually(lambda: longshore("status", job_id).code == 0)
    assert longshore("watch", job_id).code == 0
    left = longshore("quarantine", "list", "--json").document["items"]
    assert {item["id"] for item in left} == {"generic#m-2", "generic#m-3"}


def test_a_webhook_is_added_tried_rotated_and_removed_by_the_program(longshore: Longshore) -> None:
    hook = ("webhook", "add", "https://receiver.invalid/hook", "--event", "failed", "--type", "generic")
    made = longshore(*hook, "--json").document
    listed = longshore("webhook", "list")
    assert [word in listed.out for word in (made["webhook_id"], "active", "failed", "generic")] == [True] * 4
    assert made["secret"] not in listed.out
    delivery = longshore("webhook", "ping", made["webhook_id"]).out.strip()
    log = ("webhook", "log", made["webhook_id"])
    *_, tried = eventually(lambda: longshore(*log, "--json").document["deliveries"])  # the next try may be near
    assert (tried["delivery_id"], tried["attempt"]) == (delivery, 1)
    assert tried["error"], tried
    assert "webhook.ping" in longshore(*log).out
    assert longshore("status", delivery).code == 0
    rotated = longshore.over_http("webhook", "rotate", made["webhook_id"])
    assert "whsec_" in rotated.out
    assert "shown this once" in rotated.err
    assert "whsec_" not in longshore("webhook", "show", made["webhook_id"]).out
    assert longshore("webhook", "remove", made["webhook_id"]).code == 0
    gone = [longshore("webhook", word, made["webhook_id"]).code for word in ("show", "enable", "remove")]
    assert (gone, longshore("webhook", "list").out) == ([3, 3, 3], "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "http://10.0.0.1/hook"), 2, "https"),
        (("add", "https://example.org/", "--event", "finished"), 2, "events"),
        (("add", "https://example.org/", "--type", "nonsense"), 2, "types"),
        (("show", "../jobs"), 3, "no webhook"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused(
    longshore: Longshore, arguments: tuple[str, ...], code: int, said: str
) -> None:
    refused: Answer = longshore("webhook", *arguments)
    assert (refused.code, refused.out) == (code, "")
    assert said in refused.err


def test_numbers_follow_what_happens(longshore: Longshore) -> None:
    """Twenty moves are written at once, fewer when their window ends: one may end in the midst of them."""
    assert longshore("stats", "--tenant", "nobody").out == "no job has been counted yet\n"
    failed(longshore, 10, "numbers")
    told = ("stats", "--tenant", "numbers")
    eventually(lambda: sum(one["failed_24h"] for one in longshore(*told, "--json").document["types"]) >= 5)
    (generic,) = longshore(*told, "--json").document["types"]
    assert generic["cost_usd_24h"] > 0
    assert generic["hours"][-1]["created"] + generic["hours"][-2]["created"] >= 5
    head, line = longshore(*told).out.splitlines()
    assert (head.split()[0], line.split()[0]) == ("TYPE", "generic")
