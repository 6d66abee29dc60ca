"""The command line against a running local cloud, from submitting to fetching; its exit codes and its JSON."""

import asyncio
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from shared.aws.clients import Clients
from shared.aws.expressions import item_of
from shared.status import Status
from tests.e2e.cli import PROGRAM, Longshore, up
from tests.unit.test_audit import JOB


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    with up(tmp_path_factory.mktemp("cli")) as running:
        yield running


@pytest.fixture(scope="module")
def shop(longshore: Longshore) -> Path:
    path = longshore.directory / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", ((number, f"n{number}") for number in range(1000)))
        connection.commit()
    return path


def test_submit_prints_the_id_alone_for_other_commands_to_use(longshore: Longshore) -> None:
    submitted = longshore("submit", "generic", "operation=echo", "parameters.hello=world")
    assert submitted.code == 0
    job_id = submitted.out.strip()
    assert f"longshore watch {job_id}" in submitted.err
    watched = longshore("watch", job_id)
    assert (watched.code, watched.out) == (0, "")
    assert "SUCCESS" in watched.err
    result = longshore("result", job_id, "--json")
    assert result.document["data"]["result"]["data"] == {"hello": "world"}
    status = longshore("status", job_id)
    assert status.code == 0
    for told in (job_id, "generic", "SUCCESS", "submit", "claim", "succeed"):
        assert told in status.out


def test_a_followed_job_is_told_line_by_line_to_programs(longshore: Longshore) -> None:
    told = longshore("submit", "generic", "operation=count", "parameters.to:=2", "--watch", "--json")
    assert told.code == 0
    statuses = [line["status"] for line in told.lines]
    assert statuses[-1] == "SUCCESS"
    assert statuses == sorted(statuses, key=["QUEUED", "RUNNING", "SUCCESS"].index)
    assert told.lines[-1]["progress"]["percent"] == 100


def test_a_failed_job_is_exit_code_1_and_says_why(longshore: Longshore) -> None:
    failed = longshore("submit", "generic", "operation=fail", "--watch")
    assert failed.code == 1
    assert "asked_to_fail" in failed.err
    job_id = failed.out.strip()
    assert longshore("watch", job_id).code == 1
    result = longshore("result", job_id, "--json")
    assert result.code == 1
    assert result.document["error"]["code"] == "asked_to_fail"
    assert "asked_to_fail (parameters.attempts): this job was asked to fail" in longshore("status", job_id).out


def test_the_same_key_is_the_same_job_and_another_payload_is_refused(longshore: Longshore) -> None:
    first, again = (longshore("submit", "generic", "operation=echo", "--key", "once") for _ in range(2))
    assert first.out == again.out
    other = longshore("submit", "generic", "operation=fail", "--key", "once")
    assert other.code == 2
    assert "another --key" in other.err


def test_a_delayed_job_waits_and_is_not_yet_a_result(longshore: Longshore) -> None:
    job_id = longshore("submit", "generic", "operation=echo", "--delay", "10m").out.strip()
    status = longshore("status", job_id, "--json").document
    assert status["status"] == "QUEUED"
    assert status["next_attempt_at"] > status["created_at"]
    early = longshore("result", job_id)
    assert early.code == 3
    assert "QUEUED" in early.err


def test_what_a_tenant_does_not_have_is_exit_code_3(longshore: Longshore) -> None:
    job_id = longshore("submit", "generic", "operation=echo", "--tenant", "acme").out.strip()
    assert longshore("--tenant", "acme", "status", job_id).code == 0
    for arguments in (("status", job_id), ("watch", job_id), ("result", job_id), ("status", "job_none")):
        refused = longshore(*arguments)
        assert (refused.code, refused.out) == (3, "")
        assert "no job" in refused.err


def test_lists_go_on_where_they_ended_and_can_be_narrowed(longshore: Longshore) -> None:
    mine = {"LONGSHORE_TENANT": "lister"}
    newest_first = [longshore("submit", "generic", "operation=echo", **mine).out.strip() for _ in range(3)][::-1]
    first = longshore("list", "--limit", "2", "--json", **mine).document
    assert [job["job_id"] for job in first["jobs"]] == newest_first[:2]
    rest = longshore("list", "--cursor", first["cursor"], "--json", **mine).document
    assert [job["job_id"] for job in rest["jobs"]] == newest_first[2:]
    assert rest["cursor"] is None
    assert longshore("list", "--type", "extract", "--json", **mine).document["jobs"] == []
    assert longshore("list", "--status", "FAILED", **mine).out == "no such jobs\n"
    assert newest_first[0] in longshore("list", "--type", "generic", **mine).out
    assert longshore("list", "--cursor", "nonsense", **mine).code == 2


def test_a_payload_may_come_from_a_file_or_a_pipe(longshore: Longshore, tmp_path: Path) -> None:
    text = '{"operation": "echo", "parameters": {"from": "json"}, "options": {"retries": 0}}'
    (tmp_path / "payload.json").write_text(text)
    for given in (text, f"@{tmp_path}/payload.json", "-"):
        told = longshore("submit", "generic", "--payload", given, "--json", stdin=text if given == "-" else "")
        assert told.document["attempts_max"] == 1


def test_a_password_is_kept_as_a_secret_and_never_told(longshore: Longshore) -> None:
    url = "postgresql://ada:Pa55word@127.0.0.1:1/shop"
    told = longshore("submit", "extract", f"database={url}", "tables=orders", "--delay", "1h", "--json")
    assert told.code == 0
    assert "secret://database-" in told.err
    job_id = told.document["job_id"]
    everything = told.out + told.err + longshore("status", job_id).out + longshore("list", "--json").out
    everything += (longshore.directory / ".longshore" / "up.log").read_text()
    assert "Pa55word" not in everything


def test_a_secret_is_read_from_a_pipe_and_found_by_the_job(longshore: Longshore, shop: Path) -> None:
    kept = longshore("secret", "set", "shop", stdin=f"sqlite:///{shop}\n")
    assert (kept.code, kept.out) == (0, "")
    assert "secret://shop" in kept.err
    assert longshore("secret", "set", "shop", "value").code == 2, "never an argument"
    bound = longshore("secret", "set", "crm", "--for", "https://crm.example", stdin="sesame\n")
    assert (bound.code, "sesame" in bound.out + bound.err) == (0, False)
    refused = longshore("secret", "set", "crm", "--for", "crm.example", stdin="sesame\n")
    assert (refused.code, "--for: origins such as https://crm.example" in refused.err) == (2, True)
    assert longshore("secret", "set", "shop", stdin="").code == 2
    done = longshore("once", JOB_TYPE="extract", JOB_PAYLOAD='{"database": "secret://shop", "tables": ["orders"]}')
    assert done.code == 0
    other = longshore("once", JOB_TYPE="extract", JOB_PAYLOAD='{"database": "secret://x", "tables": ["orders"]}')
    assert (other.code, other.document["error"]["code"]) == (1, "no_such_secret")


def test_a_job_of_the_environment_runs_once_here(longshore: Longshore) -> None:
    done = longshore("once", JOB_TYPE="generic", JOB_PAYLOAD='{"operation": "echo"}', JOB_ID="job_env", WORKER_ID="w1")
    assert done.code == 0
    assert done.document["status"] == "SUCCESS"
    assert longshore("status", "job_env", "--json").document["worker_id"] == "w1"
    failed = longshore("once", JOB_TYPE="generic", JOB_PAYLOAD='{"operation": "fail"}')
    assert failed.code == 1
    again = longshore("once", JOB_TYPE="generic", JOB_PAYLOAD='{"operation": "fail", "parameters": {"attempts": 1}}')
    assert again.code == 75
    for payload, told in (("{", "JOB_PAYLOAD"), ('{"operation": 1}', "operation")):
        refused = longshore("once", JOB_TYPE="generic", JOB_PAYLOAD=payload)
        assert refused.code == 2
        assert told in refused.err
    assert "exists" in longshore("once", JOB_TYPE="generic", JOB_PAYLOAD='{"operation": "echo"}', JOB_ID="job_env").err


def test_an_extract_is_fetched_whole_and_into_place(longshore: Longshore, shop: Path) -> None:
    done = longshore("submit", "extract", "database=shop.db", "tables=orders", "output_format=csv", "--watch")
    assert done.code == 0, done.err
    fetched = longshore("result", done.out.strip(), "--download", "out")
    assert fetched.code == 0
    assert "1,000" in fetched.out
    assert len((longshore.directory / "out" / "orders.csv").read_text().splitlines()) == 1001
    assert not [*(longshore.directory / "out").rglob("*.part")]


def test_a_stack_that_is_not_there_is_exit_code_4(longshore: Longshore) -> None:
    refused = longshore("--stack", "elsewhere", "list")
    assert refused.code == 4
    assert "no such stack" in refused.err


def test_a_port_that_is_taken_is_said_so(longshore: Longshore) -> None:
    refused = longshore("up", "--port", longshore.endpoint.rpartition(":")[2])
    assert refused.code == 2
    assert "port" in refused.err


def test_a_worker_told_to_stop_ends_what_runs_and_then_itself(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    text = (Path(__file__).parents[2] / "template.yaml").read_text()
    template.write_text(re.sub(r"          Events:\n            Wakeups:.*?\n\n", "\n", text, count=1, flags=re.DOTALL))
    command = [PROGRAM, "worker", "--types", "generic:1", "--json"]
    with (
        up(tmp_path, "--template", str(template)) as longshore,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=longshore.environment, cwd=tmp_path) as worker,
    ):
        assert worker.stdout is not None
        try:
            job_id = longshore("submit", "generic", "operation=count", "parameters.to:=3").out.strip()
            began = next(line for line in worker.stdout if "run_began" in line)
            assert job_id in began
            worker.send_signal(signal.SIGTERM)
            rest = worker.stdout.read()
            assert worker.wait(30) == 0
        finally:
            worker.kill()
        assert "run_settled" in rest
        assert "worker_stopped" in rest
        assert longshore("status", job_id, "--json").document["status"] == "SUCCESS"


def test_ctrl_c_takes_every_process_along(tmp_path: Path) -> None:
    with up(tmp_path) as longshore:
        assert longshore("submit", "generic", "operation=echo", "--watch").code == 0
        log = tmp_path / ".longshore" / "up.log"
        assert "longshore-generic | " in log.read_text()
        mine = [
            one
            for one in psutil.process_iter(["environ"])
            if (one.info["environ"] or {}).get("AWS_ENDPOINT_URL") == longshore.endpoint
        ]
        assert mine
    assert not [one for one in mine if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_the_audit_counts_every_tenants_jobs_and_finds_nothing_forgotten(longshore: Longshore) -> None:
    before = longshore("audit", "--json").document["rows"]
    for tenant in ("one", "two"):
        longshore("submit", "generic", "operation=echo", "--tenant", tenant, "--watch")
    audit = longshore("audit", "--json")
    assert audit.code == 0
    assert audit.document["rows"] == before + 2
    assert (audit.document["is_clean"], audit.document["problems"]) == (True, {})
    shown = longshore("audit", "--repair")
    assert shown.code == 0
    for told in ("rows", "SUCCESS", "accepted", "balanced", "yes"):
        assert told in shown.out


def test_an_audit_that_finds_something_names_it_and_is_exit_code_1(longshore: Longshore) -> None:
    pk, forgotten = {"S": "t#stranger"}, {"S": "t#forgotten"}

    async def put_and_remove() -> None:
        async def call(operation: str, **arguments: object) -> None:
            await clients.call("dynamodb", operation, TableName="longshore-jobs", **arguments)

        clients = Clients(endpoint_url=longshore.endpoint, region="us-east-1", credentials=("local", "local"))
        row = replace(JOB, job_id="forgotten", due_at=0)
        await call("put_item", Item={"pk": pk, "what": {"S": "another program's"}})
        await call("put_item", Item=item_of(replace(row, type="gone", status=Status.WAITING, deadline_at=1)))
        try:
            audit = await asyncio.to_thread(longshore, "audit", "--repair")
            assert audit.code == 1
            for told in ("t#stranger", "forgotten", "overdue", "unreadable", "0 woken, 1 could not be", "no"):
                assert told in audit.out
        finally:
            await call("delete_item", Key={"pk": pk})
            await call("delete_item", Key={"pk": forgotten})
            await clients.close()

    asyncio.run(put_and_remove())
