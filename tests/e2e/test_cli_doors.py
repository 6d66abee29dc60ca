"""The same commands by way of the stack and by way of its API: same answers, same exit codes. What only one can do."""

import asyncio
import json
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.cli.client import Jobs
from infra.cli.hearing import listening
from infra.cli.http_client import over_http
from shared.payloads import open_types
from tests.e2e.cli import PROGRAM, Answer, Longshore, eventually, up

Run = Callable[..., Answer]

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e"


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    with up(tmp_path_factory.mktemp("doors")) as running:
        yield running


@pytest.fixture(params=["stack", "api"])
def run(request: pytest.FixtureRequest, longshore: Longshore) -> Run:
    return longshore if request.param == "stack" else longshore.over_http


def test_a_job_is_submitted_followed_explained_and_fetched(run: Run, longshore: Longshore) -> None:
    told = run("submit", "generic", "operation=count", "parameters.to:=2", "--watch", "--json")
    assert (told.code, told.lines[-1]["status"], told.lines[-1]["progress"]["percent"]) == (0, "SUCCESS", 100), told.err
    job_id = told.lines[-1]["job_id"]
    assert run("why", job_id, "--json").document["reasons"][0]["code"] == "done"
    assert "It is done." in run("why", job_id).out
    assert job_id in run("list", "--status", "success,failed", "--since", "1h", "--text", job_id).out
    assert run("list", "--type", "nonsense").code == 2
    assert f"the types are {', '.join(open_types())}" in run("list", "--type", "nonsense").err
    fetched = run("result", job_id, "--download", f"out-{job_id}")
    assert fetched.code == 0
    assert (longshore.directory / f"out-{job_id}" / "result.json").exists()


def test_a_file_of_ours_goes_with_the_job(run: Run, longshore: Longshore, request: pytest.FixtureRequest) -> None:
    (longshore.directory / "our people.csv").write_text("id,name\n1,Ada\n2,Bob\n")
    table, database = f"by_{request.node.callspec.params['run']}", longshore.directory / "people.db"
    asked = (f"table={table}", "create=true", 'columns:={"id": {"type": "integer"}, "name": {}}')
    submit = ("submit", "bulk_import", f"database={database}", *asked)
    assert run(*submit, "source=@our people.csv", "--watch").code == 0
    with closing(sqlite3.connect(database)) as there:
        assert there.execute(f'SELECT id, name FROM "{table}"').fetchall() == [(1, "Ada"), (2, "Bob")]
    refused = run(*submit, "source=@nobody.csv")
    assert (refused.code, "source: there is no file 'nobody.csv'" in refused.err) == (2, True)


def test_a_file_is_fetched_and_checked(run: Run, longshore: Longshore) -> None:
    rows = "query=select 1 as n union select 2"
    done = run("submit", "extract", "database=:memory:", rows, "--watch")
    assert done.code == 1, "there is no such file"
    shop = longshore.directory / "shop.db"
    shop.touch()
    done = run("submit", "extract", f"database={shop}", rows, "output_format=csv", "--watch")
    assert done.code == 0, done.err
    fetched = run("result", done.out.strip(), "--download", f"rows-{done.out.strip()}")
    assert [path for path in fetched.out.split() if path.endswith(".csv")], fetched.out


def test_failures_are_grouped_explained_and_run_again(run: Run, longshore: Longshore) -> None:
    code = f"m{run is longshore:d}"
    ids = [run("submit", "generic", "operation=fail", f"metadata.item_id={code}").out.strip() for _ in range(2)]
    assert run("watch", *ids).code == 1
    groups = run("errors", "--type", "generic", "--json").document["groups"]
    (group,) = [group for group in groups if group["error"]["code"] == "asked_to_fail"]
    assert group["count"] >= 2
    assert group["fingerprint"] in run("errors").out
    assert "redrive" in run("why", ids[0]).out
    assert run("redrive", *ids, "--dry-run").code == 0
    again = run("redrive", *ids, "--rate", "1/s", "--yes")
    assert (again.code, {*again.out.split()}) == (0, {*ids})
    assert run("watch", *ids).code == 1
    assert run("redrive", ids[0], "job_none", "--yes").code == 3


def test_what_waits_is_cancelled_and_refusals_are_the_same(run: Run) -> None:
    waiting = run("submit", "generic", "operation=echo", "--delay", "10m", "--json").document["job_id"]
    assert run("result", waiting).code == 3
    assert run("cancel", waiting).out == f"{waiting}  CANCELLED\n"
    for arguments, code in ((("status", "job_none"), 3), (("why", "../x"), 3), (("list", "--cursor", "x"), 2)):
        assert run(*arguments).code == code
    assert run("submit", "generic", "operation=echo", "--key", "k").code == 0
    assert run("submit", "generic", "operation=fail", "--key", "k").code == 2


def test_an_urgent_job_says_so(run: Run) -> None:
    for given in (("--priority", "urgent"), ("priority=urgent",)):
        job_id = run("submit", "generic", "operation=echo", *given).out.strip()
        assert "urgent" in run("status", job_id).out
        assert run("status", job_id, "--json").document["priority"] == "urgent"
    assert run("submit", "generic", "operation=echo", "--priority", "soon").code == 2


def test_types_are_told_alike(run: Run, longshore: Longshore) -> None:
    assert run("types", "extract").out == longshore("types", "extract").out
    assert run("types", "extract", "--json").document == longshore("types", "extract", "--json").document
    assert run("types", "exract").code == 2


def test_status_shows_payload_and_metadata_and_nothing_that_a_terminal_would_obey(run: Run) -> None:
    payload = {"operation": "fail", "parameters": {"note": HOSTILE}, "metadata": {"item_id": HOSTILE}}
    job_id = run("submit", "generic", "--payload", json.dumps(payload)).out.strip()
    assert run("watch", job_id).code == 1
    for arguments in (("status", job_id), ("list",), ("watch", job_id), ("why", job_id), ("errors",)):
        told = run(*arguments)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told.out + told.err), arguments
    shown = run("status", job_id).out
    for words in ("payload", "metadata", r"\u202e", "owned", "note", "item_id"):
        assert words in shown
    document = run("status", job_id, "--json").document
    assert document["payload"]["parameters"] == {"note": HOSTILE}
    assert document["metadata"] == {"item_id": HOSTILE}


def test_an_api_refuses_a_token_that_is_none_and_says_where_to_get_one(longshore: Longshore) -> None:
    refused = longshore.over_http("list", LONGSHORE_TOKEN="nonsense")
    assert refused.code == 4
    assert "longshore token" in refused.err
    viewer = longshore("token", "--role", "viewer", "--tenant", "acme").out.strip()
    assert longshore.over_http("list", LONGSHORE_TOKEN=viewer).out == "no such jobs\n"
    forbidden = longshore.over_http("submit", "generic", "operation=echo", LONGSHORE_TOKEN=viewer)
    assert (forbidden.code, "another role" in forbidden.err) == (4, True)


def test_a_cloud_tells_one_address_that_signs_in_and_keeps_its_key_to_itself(longshore: Longshore) -> None:
    key = longshore.directory / ".longshore" / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    address = urlsplit(longshore("open", "job_1", "--json").document["dashboard"])
    (token,) = parse_qs(address.fragment)["token"]
    assert (address.netloc, parse_qs(address.fragment)["to"]) == ("127.0.0.1:4600", ["/jobs/job_1"])
    assert longshore.over_http("list", LONGSHORE_TOKEN=token).code == 0
    given = longshore.over_http("open", "--print").out.strip()
    assert given == f"{longshore.api}/#token={longshore.token}"


def test_no_token_is_made_where_no_cloud_was_started(longshore: Longshore, tmp_path: Path) -> None:
    refused = Longshore(longshore.endpoint, tmp_path, "", "")("token")
    assert (refused.code, refused.out) == (3, "")
    assert "where `longshore up` was started" in refused.err
    assert not (tmp_path / ".longshore").exists()


def test_whoever_listens_is_told_of_every_change(longshore: Longshore) -> None:
    async def listened() -> set[str]:
        async with over_http(longshore.api, longshore.token) as carrier:
            jobs = Jobs(carrier)
            async with listening(jobs, ["type:generic"]) as ears, asyncio.timeout(30):
                while not ears.hears:
                    assert await ears.told() is None, "while nobody tells, one must look"
                await ears.told()
                made = await jobs.submit({"type": "generic", "operation": "echo"})
                while made.job_id not in (heard := await ears.told() or set()):
                    pass
                return heard

    assert asyncio.run(listened())


@pytest.mark.parametrize("door", ["stack", "api"])
def test_whatever_comes_is_followed_until_ctrl_c(door: str, longshore: Longshore, tmp_path: Path) -> None:
    command = [PROGRAM, "watch", "--type", "generic", "--json"]
    command += ["--api", longshore.api] if door == "api" else []
    environment = longshore.environment | {"LONGSHORE_TOKEN": longshore.token}
    lines = tmp_path / "lines"
    with (
        lines.open("w") as out,
        subprocess.Popen(
            command, stdout=out, stderr=subprocess.DEVNULL, env=environment, cwd=longshore.directory
        ) as process,
    ):
        try:

            def is_told() -> bool:
                """One that was over before it looked for the first time is not told of; the next one is."""
                job_id = longshore("submit", "generic", "operation=echo").out.strip()
                longshore("watch", job_id)
                return "SUCCESS" in lines.read_text()

            eventually(is_told)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()


def test_a_function_that_cannot_be_imported_is_told_at_once(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    text = (Path(__file__).parents[2] / "template.yaml").read_text()
    template.write_text(text.replace("handlers.reactor.handler", "handlers.gone.handler"))
    with (
        (tmp_path / "err").open("w+") as err,
        subprocess.Popen(
            [PROGRAM, "up", "--port", "0", "--api-port", "0", "--json", "--template", str(template)],
            stdout=subprocess.PIPE, stderr=err, text=True, cwd=tmp_path, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            here = Longshore(told["endpoint"], tmp_path, told["api"], told["token"])
            assert here("submit", "generic", "operation=echo").code == 0
            eventually(lambda: "No module named" in (tmp_path / "err").read_text())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    assert (tmp_path / "err").read_text().count("cannot be imported: ") == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl")
def test_the_examples_of_the_http_api_answer_as_they_say(longshore: Longshore) -> None:
    page = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
    examples = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    script = "curl() { command curl -sS -o /dev/null -w '%{http_code}\\n' \"$@\"; }\n" + examples
    environment = longshore.environment | {"API": longshore.api, "TOKEN": longshore.token}
    answered = subprocess.run(
        ["bash", "-euc", script], env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout
    said = re.findall(r"# (\d\d\d)\b", examples)
    assert len(said) > 20
    assert answered.split() == said
