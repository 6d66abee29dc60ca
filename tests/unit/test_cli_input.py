"""What is typed at `longshore`: understood where it can be, refused with the field and what was meant where not."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import JsonValue

from infra.cli.app import SECTIONS, run
from infra.cli.artifacts import Stored, download, stored_in
from infra.cli.connect import settings_of
from infra.cli.fields import assigned, checked, paths_of, payload_model
from infra.cli.http_client import put
from infra.cli.options import Options
from infra.cli.places import absolute
from infra.cli.render import duration, result_facts, saying, size
from infra.cli.secrets import hide_password
from infra.cli.uploads import files_in
from shared.errors import InvalidInput, Permanent, WorldFault
from shared.memory.objects import MemoryObjects
from shared.payloads import TYPES, open_types
from shared.payloads.extract import ExtractPayload
from shared.payloads.results import Response, ResponseData
from shared.runtime.api.jobs import Link, Result
from shared.runtime.api.system import UploadAsk
from shared.view import ProgressView


def read(job_type: str, *assignments: str) -> dict[str, object]:
    model = payload_model(job_type)
    return checked(model, assigned(model, {"type": job_type}, assignments)).model_dump()


def problems(job_type: str, *assignments: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        read(job_type, *assignments)
    return {problem.field: problem.expected for problem in refusal.value.problems}


# --- values -----------------------------------------------------------------------------------------------------------


def test_the_model_says_what_a_value_means() -> None:
    payload = read(
        "extract", "database=secret://shop", "tables=orders,order lines", "outputFormat=parquet",
        "options.batch_size=500", "options.include_schema=true", "metadata.run=7", "metadata.nightly:=true",
    )  # fmt: skip
    assert payload["tables"] == ("orders", "order lines")
    assert payload["output_format"] == "parquet"
    assert payload["options"] == {"batch_size": 500, "include_schema": True, "compression": "none"}
    assert payload["metadata"] == {"run": "7", "nightly": True}


@pytest.mark.parametrize(
    ("value", "meant"),
    [("gzip", "gzip"), ("true", True), ("false", False)],
)
def test_a_field_of_several_kinds_takes_the_one_that_fits(value: str, meant: object) -> None:
    options = read("backup", "database=secret://x", f"options.compress={value}")["options"]
    assert isinstance(options, dict)
    assert options["compress"] == meant


def test_free_parameters_are_texts_unless_they_are_given_as_json() -> None:
    payload = read("generic", "operation=echo", "parameters.a=1.10", "parameters.b:=1.5", 'parameters.c.d:=["x"]')
    assert payload["parameters"] == {"a": "1.10", "b": 1.5, "c": {"d": ["x"]}}


def test_a_field_with_a_name_of_its_own_is_known_by_it() -> None:
    options = read("restore", "database=secret://x", "backup_url=s3://b/k", "options.validate=false")["options"]
    assert isinstance(options, dict)
    assert options["verify"] is False
    assert "options.validate" in paths_of(TYPES["restore"])


def test_a_value_may_hold_anything() -> None:
    query = "select a = 'b:=c'\nfrom t where x >= 1"
    assert read("extract", "database=secret://x", f"query={query}")["query"] == query


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_every_wrong_field_is_named_with_what_was_expected() -> None:
    found = problems(
        "extract", "database=nowhere://x", "tables=orders", "output_format=xls", "options.compresion=gzip",
        "options.batch_size=many", "tabels=x",
    )  # fmt: skip
    assert found == {
        "database": "a path, sqlite:///PATH, postgresql://user@host/name, secret://NAME or env://NAME",
        "output_format": "Input should be 'json', 'jsonl', 'csv', 'sql' or 'parquet'",
        "options.compresion": "there is no such field; did you mean options.compression?",
        "options.batch_size": "Input should be a valid integer",
        "tabels": "there is no such field; did you mean tables?",
    }


def test_a_single_wrong_element_of_a_list_is_told_of_as_that() -> None:
    told = problems("send_email", "to=nobody", "subject=x", "text=y")
    assert "to.0" in told
    assert "array" not in " ".join(told.values())


def test_an_unknown_type_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean extract"):
        payload_model("exract")


@pytest.mark.parametrize("text", ["orders", "=x", "a b=c", "1=2", ""])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="FIELD=VALUE"):
        assigned(ExtractPayload, {}, [text])


@pytest.mark.parametrize(("text", "told"), [("a:={", "JSON"), ("a:=NaN", "JSON"), ("tables.x=1 tables=2", "no fields")])
def test_bad_json_and_fields_of_no_object_are_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        assigned(ExtractPayload, {"tables": ["x"]}, text.split(" "))


def backup_of(database: str) -> dict[str, object]:
    return {"type": "backup", "database": database, "tables": ["orders"]}


# --- databases --------------------------------------------------------------------------------------------------------


def test_a_path_is_made_absolute_since_a_worker_is_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for written in ("shop.db", "./shop.db", "sqlite:///shop.db", f"sqlite:///{tmp_path}/shop.db"):
        assert absolute(backup_of(written)) == backup_of(f"sqlite:///{tmp_path}/shop.db")
    for other in ("secret://shop", "postgresql://u@h/d"):
        assert absolute(backup_of(other)) == backup_of(other)
    sync = {"type": "data_sync", "source": "a.db", "target": "b.db", "table": "a.db"}
    assert absolute(sync) == sync | {name: f"sqlite:///{tmp_path}/{sync[name]}" for name in ("source", "target")}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:s3cret@db.example.org:5432/shop",
        "postgresql://ada:s3cret@h@db.example.org/shop",
        "postgresql://ada:s3/cret@db.example.org/shop",
        "postgresql://:s3cret@db.example.org/shop",
        "postgresql://db.example.org/shop?user=ada&password=s3cret",
        "postgres://ada@db.example.org/shop?sslpassword=s3cret&sslmode=require",
        "POSTGRESQL://ada:s3cret@db.example.org/shop",
    ],
)
def test_a_password_becomes_a_secret_before_anything_is_made_of_it(url: str) -> None:
    payload, secrets = hide_password(backup_of(url))
    ((name, kept),) = secrets.items()
    assert payload == backup_of(f"secret://{name}")
    assert kept == url
    later, _ = hide_password(backup_of(url.replace("cret", "cret2")))
    assert later["database"] == payload["database"], "a new password replaces the old one"
    sync, secrets = hide_password({"type": "data_sync", "source": "secret://a", "target": url, "table": "t"})
    assert (sync["target"], [*secrets.values()]) == (f"secret://{name}", [url])


@pytest.mark.parametrize(
    "url", ["postgresql://ada@h/shop", "postgresql://h:5432/shop", "postgresql://[::1]:5432/d", "secret://x", "/a:b@c"]
)
def test_what_holds_no_password_is_left_alone(url: str) -> None:
    assert hide_password(backup_of(url)) == (backup_of(url), {})


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_of_ours_is_known_by_its_field_wherever_that_is(tmp_path: Path) -> None:
    (tmp_path / "é 1.csv.gz").write_bytes(b"x")
    mine = f"@{tmp_path}/é 1.csv.gz"
    mail = {"type": "send_email", "subject": "@home", "attachments": [{"url": "s3://b/k"}, {"url": mine}]}
    report = {"type": "report", "files": {"a": mine}}
    step = {"name": "a", "job": {"type": "bulk_import", "source": mine}}
    document, files = files_in({"type": "flow", "steps": [{"name": "m", "job": mail}, step, {"job": report}, 7]})
    urls = [f"s3://uploads/{number}/1.csv.gz" for number in range(3)]
    assert [*files.values()] == [tmp_path / "é 1.csv.gz"] * 3
    jobs = [one["job"] for one in document["steps"][:3]]
    assert jobs[0] == mail | {"attachments": [{"url": "s3://b/k"}, {"url": urls[0]}]}
    assert (jobs[1]["source"], jobs[2]["files"]) == (urls[1], {"a": urls[2]})
    named = files_in({"type": "restore", "backupUrl": mine, "database": "@x"})[0]
    assert (named["backupUrl"], named["database"]) == (urls[0], "@x")


@pytest.mark.parametrize("name", ["./nowhere.csv", "./empty.csv", ".", "~nobody-of-that-name/a.csv"])
def test_a_file_that_cannot_be_uploaded_is_named_with_its_field(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").touch()
    with pytest.raises(InvalidInput) as refusal:
        files_in({"type": "flow", "steps": [{"job": {"type": "transcode", "source": f"@{name}"}}]})
    assert refusal.value.field == "steps.0.job.source"


@pytest.mark.parametrize("name", ["a.csv", "-", "é 1.csv", "ab." + "c" * 127, "." * 129, "x" * 200 + ".csv.gz"])
def test_a_file_is_uploaded_under_a_name_that_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    ((url, _),) = files_in({"type": "transcode", "source": f"@{tmp_path}/{name}"})[1].items()
    name = url.rpartition("/")[2]
    assert UploadAsk(name=name, size_bytes=1).name == name


def test_an_upload_that_is_refused_tells_why_but_not_its_place(tmp_path: Path) -> None:
    """Whoever has read the place can put something else there."""
    (tmp_path / "a.csv").write_bytes(b"x")

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403)

    async def story() -> str:
        app = web.Application()
        app.router.add_put("/", refuse)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/?X-Amz-Signature=SIGNED"
        try:
            with pytest.raises(WorldFault) as fault:
                await put(url, tmp_path / "a.csv")
            return str(fault.value)
        finally:
            await runner.cleanup()

    told = asyncio.run(story())
    assert "403" in told
    assert "SIGNED" not in told


# --- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "url", "needs_credentials"),
    [
        ("local", "http://127.0.0.1:4599", False),
        ("http://localhost:9000/", "http://localhost:9000", False),
        ("aws", None, True),
        ("https://sqs.example.org", "https://sqs.example.org", True),
    ],
)
def test_only_an_endpoint_on_this_machine_is_given_made_up_credentials(
    endpoint: str, url: str | None, needs_credentials: bool
) -> None:
    settings = settings_of(Options(endpoint=endpoint))
    assert settings.endpoint_url == url
    assert (settings.credentials is None) == needs_credentials


def test_localstack_is_looked_for_where_its_own_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALSTACK_HOST", "stack.example.org:4510")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert settings_of(Options(endpoint="localstack")).endpoint_url == "http://stack.example.org:4510"


# --- the program ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("sumbit", "did you mean submit?"),
        ("submit", "TYPE is required, unless the payload says it"),
        ("submit operation=echo", "TYPE is required, unless the payload says it"),
        ("estimate --payload {}", "TYPE is required, unless the payload says it"),
        ("submit exract database=x", "did you mean extract?"),
        ("submit extract database=x", "give either tables or query"),
        ("submit extract database=x tables=a --delay soon", "90s, 10m, 2h"),
        ("submit extract --payload {", "--payload: JSON was expected"),
        ("submit extract --payload []", "--payload: a JSON object was expected"),
        ("submit extract --payload @/nowhere.json", "/nowhere.json: No such file"),
        (f"submit --payload @{sys.executable}", "--payload: JSON was expected"),
        (f"submit --file {sys.executable}", "--file: JSON was expected"),
        ("submit --payload \udcff", "--payload: JSON was expected"),
        ("submit generic operation:=\udcff", "operation: JSON was expected"),
        ("submit generic operation=\udcff", "lone leading surrogate"),
        ("submit generic operation=echo parameters.a=\udcff", "this payload is not valid"),
        ('submit extract --payload {"type":"backup"}', "type: the payload says 'backup'"),
        ("types nothing", "there is no job type 'nothing'"),
        ("list --status queued,done", "'done' is not one of waiting, queued, running"),
        ("list --since yesterday", "90s, 2h, 1d, or a moment like"),
        ("watch", "either job ids, or --type, or --all"),
        ("watch --all --type extract", "either job ids, or --type, or --all"),
        ("redrive --status success", "'success' is not one of partial_success, failed, cancelled"),
        ("redrive", "either job ids, or"),
        ("redrive --type ", "either job ids, or"),
        ("redrive some-id --type generic", "either job ids, or"),
        ("token --role king", "the roles are viewer, producer, operator"),
        ("--api nowhere list", "the API's URL was expected"),
        ("--api https://x --tenant acme list", "--tenant: with --api, the token says whose"),
        ("--api https://x audit", "done on the stack itself"),
        ("--api https://x submit backup database=postgresql://a:b@h/d", "no password goes over the API"),
        ("schedule add x backup database=postgresql://a:b@h/d --cron @daily", "no password goes into a schedule"),
        (f"schedule add x transcode source=@{__file__} --cron @daily", "@: an upload may be gone"),
        ("--endpoint nowhere list", "--endpoint: local, localstack, aws or a URL, not 'nowhere'"),
        ("worker --types extract:0", "--types: TYPE or TYPE:CONCURRENCY"),
        ("worker --types nothing", "there is no job type 'nothing'"),
        ("once", "JOB_TYPE: the job's type is expected"),
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence(arguments: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments.split(" ")) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("longshore: ")
    assert captured.out == ""


def test_an_endpoint_that_nobody_answers_at_is_exit_code_4_and_how_to_start_it(
    capsys: pytest.CaptureFixture[str], unused_port: int
) -> None:
    assert run(["--endpoint", f"http://127.0.0.1:{unused_port}", "list"]) == 4
    assert f"nothing answers at http://127.0.0.1:{unused_port}" in capsys.readouterr().err


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_with_json_an_error_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["submit", "extract", "database=x", "tables=a", "output_format=xls", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "invalid_payload"
    assert error["problems"][0]["field"] == "output_format"


def test_every_type_has_its_fields_an_example_that_is_valid_and_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for name in open_types():
        assert run(["types", name]) == 0
        shown = capsys.readouterr().out
        for path in paths_of(TYPES[name]):
            assert path == "type" or f"\n{path} " in shown or shown.startswith(f"{path} ")
        assert f"  longshore submit {name} " in shown
        assert run(["types", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["properties"]["type"]["const"] == name


def test_passwords_and_relative_paths_are_found_in_a_flows_steps_too() -> None:
    url = "postgresql://me:secret@host/shop"
    inner = {"type": "flow", "steps": [{"name": "b", "job": {"type": "backup", "database": "shop.db"}}]}
    flow = {"type": "flow", "steps": [{"name": "a", "job": {"type": "backup", "database": url}}, {"job": inner}, 7]}
    document, secrets = hide_password(absolute(flow))
    assert "secret@host" not in json.dumps(document)
    assert list(secrets.values()) == [url]
    assert document["steps"][0]["job"]["database"] == f"secret://{next(iter(secrets))}"
    assert document["steps"][1]["job"]["steps"][0]["job"]["database"] == f"sqlite:///{Path.cwd() / 'shop.db'}"
    assert document["steps"][2] == 7


def test_a_file_that_is_no_payload_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, text, said in (
        ("flow.json", "{", "--file: JSON was expected"),
        ("flow.yaml", "a: [", "--file: YAML was expected"),
        ("list.yaml", "[1]", "--file: a YAML object was expected"),
    ):
        (tmp_path / name).write_text(text)
        assert run(["submit", "flow", "--file", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert run(["submit", "flow", "--file", "x", "--payload", "{}"]) == 2


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    names = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out.partition("\nStart:\n")[2], re.MULTILINE)
    assert names == [name for section in SECTIONS.values() for name in section]
    groups = {"secret": ("set",), "new": ("job",), "quarantine": ("list", "show", "retry")}
    groups["schedule"] = ("add", "list", "show", "pause", "resume", "run", "remove", "preview")
    groups["webhook"] = ("add", "list", "show", "log", "ping", "rotate", "enable", "remove")
    for name, under in ((one, under) for one in names for under in groups.get(one, ("",))):
        assert run([name, *([under] if under else []), "--help"]) == 0
        shown = capsys.readouterr().out
        assert "Examples:" in shown
        assert f"longshore {name} {under}" in shown or not under


@pytest.mark.parametrize("group", [[], ["new"], ["schedule"], ["webhook"], ["quarantine"], ["secret"]])
def test_a_name_without_a_command_shows_the_commands_each_in_a_whole_sentence(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(group) == 2
    told = capsys.readouterr().err
    assert told.startswith("Usage: longshore")
    commands = re.split(r"\n(?:Start|Commands):\n", told)[1]
    assert commands
    assert not re.search(r"\.\.\.$", commands, re.MULTILINE), commands


def test_completion_scripts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert run(["completion", shell]) == 0
        assert "_LONGSHORE_COMPLETE" in capsys.readouterr().out


def test_types_and_fields_are_completed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LONGSHORE_COMPLETE", "bash_complete")
    for words, offered in (
        ("er", "errors"),
        ("submit ext", "extract"),
        ("submit extract options.b", "options.batch_size="),
        ("list --type ext", "extract"),
        ("list --status queued,runn", "queued,running"),
        ("redrive --status fa", "failed"),
    ):
        monkeypatch.setenv("COMP_WORDS", f"longshore {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
        with pytest.raises(SystemExit):
            run([])
        assert capsys.readouterr().out == f"plain,{offered}\n"


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (ProgressView(message="4/7 ingredients", context="Lasagne", indent_level=1), "  Lasagne: 4/7 ingredients"),
        (ProgressView(message="reading"), "reading"),
        (ProgressView(message="a\x1b[2Jb", indent_level=99), " " * 16 + "a\\x1b[2Jb"),
        (ProgressView(current=3, indent_level=2), ""),
        (None, ""),
    ],
)
def test_what_a_job_says_of_itself_is_told_with_its_level_and_context(progress: ProgressView | None, told: str) -> None:
    assert saying(progress) == told


def test_sizes_and_durations_are_in_words() -> None:
    assert [size(n) for n in (0, 999, 1_000, 9_949, 12_300_000)] == [
        "0 bytes",
        "999 bytes",
        "1.0 KB",
        "9.9 KB",
        "12 MB",
    ]
    assert [duration(s) for s in (0.04, 9.94, 59.4, 61, 7_500, 90_000)] == [
        "0.0 s", "9.9 s", "59 s", "1 min 1 s", "2 h 5 min", "1 d 1 h",
    ]  # fmt: skip


def test_what_is_true_in_a_result_is_no_number() -> None:
    data = ResponseData(job_id="job_1", type="import_note", result={"data": {"duplicate": True, "lines": 1}})
    facts = dict(result_facts(Response(success=True, data=data)))
    assert (facts["duplicate"], facts["lines"]) == ("true", "1")


def test_every_file_that_a_result_names_is_found_wherever_it_is() -> None:
    prefix = "s3://b/artifacts/t/job_1/1-abc/"
    file = {"url": f"{prefix}data/a.csv", "size_bytes": 3, "sha256": "ff"}
    document = {"artifact": {"url": f"{prefix}m.json"}, "data": {"files": [file, {"url": "https://x/y"}]}}
    links = {f"{prefix}m.json": "", f"{prefix}data/a.csv": ""}
    found = list(stored_in(document, links))  # type: ignore[arg-type]  # JSON all the same
    assert found == [Stored(f"{prefix}m.json"), Stored(f"{prefix}data/a.csv", 3, "ff")]
    assert [one.name("job_1") for one in found] == ["m.json", "data/a.csv"]
    assert [one.name("job_2") for one in found] == ["job_1/m.json", "job_1/data/a.csv"], "a flow's files are its steps'"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"url": "s3://memory/artifacts/t/job_1/1-abc/a.csv", "sha256": "0" * 64}, "SHA-256"),
        ({"url": "s3://memory/artifacts/t/job_1/1-abc/../../../../a.csv"}, "out of the directory"),
    ],
)
def test_a_file_that_is_not_as_it_was_stored_gets_no_name(
    stored: dict[str, JsonValue], told: str, tmp_path: Path
) -> None:
    async def fetch() -> None:
        objects = MemoryObjects()
        await objects.put(str(stored["url"]).removeprefix("s3://memory/"), b"1,2")
        data = ResponseData(job_id="job_1", type="extract", result={"artifact": stored})
        result = Result(success=True, data=data, links=[Link(url=str(stored["url"]), href="")])
        await download(
            result,
            lambda link: objects.stream(link.url.removeprefix("s3://memory/")),
            tmp_path / "out",
            lambda *_: None,
        )

    with pytest.raises(Permanent, match=told):
        asyncio.run(fetch())
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["result.json"]
