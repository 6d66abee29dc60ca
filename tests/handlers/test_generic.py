"""`generic`: operations of packages that are installed, good ones and others."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from handlers.jobs.generic import generic
from infra.cli.app import run
from infra.testing import Drained, Longshore
from shared.errors import InvalidInput
from shared.outcomes import Done, Failed
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime import operations

CODE = '''
from pydantic import BaseModel, ConfigDict, Field

class Resize(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = Field(ge=1, le=100)

async def resize(parameters: Resize, context):
    """Make a picture smaller.

    And more that is told."""
    context.progress(1, 1)
    return {"width": parameters.width}

class Sum(BaseModel):
    total: int

def add(parameters, context):
    """Add the numbers."""
    return Sum(total=sum(parameters["numbers"]))

async def quiet(parameters, context): ...

async def wrong(parameters, context):
    return [1]

def one(parameters): ...
'''

POINTS = {
    "resize": "acme_jobs:resize",
    "add": "acme_jobs:add",
    "quiet": "acme_jobs:quiet",
    "wrong": "acme_jobs:wrong",
    "one": "acme_jobs:one",
    "gone": "acme_nowhere:gone",
    "exits": "acme_exits:exits",
    "echo": "acme_jobs:resize",
    "twice": "acme_jobs:resize",
    "a/b": "acme_jobs:resize",
}


def install(place: Path, package: str, points: dict[str, str]) -> None:
    """As pip would: https://packaging.python.org/en/latest/specifications/recording-installed-packages/"""
    info = place / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[longshore.operations]\n{lines}")


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme_jobs.py").write_text(dedent(CODE))
    (tmp_path / "acme_exits.py").write_text("raise SystemExit('no GPU here')")
    install(tmp_path, "acme", POINTS)
    install(tmp_path, "rival", {"twice": "acme_jobs:add"})
    monkeypatch.syspath_prepend(str(tmp_path))
    operations._points.cache_clear()
    yield
    operations._points.cache_clear()
    sys.modules.pop("acme_jobs", None)


def asked(operation: str, **parameters: object) -> GenericPayload:
    return GenericPayload.model_validate_json(json.dumps({"operation": operation, "parameters": parameters}))


def refused(operation: str) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        operations.find(operation)
    assert caught.value.field == "operation"
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (asked("resize", width=7), {"width": 7}),
        (asked("add", numbers=[1, 2]), {"total": 3}),
        (asked("quiet"), {}),
        (asked("count", to=1, every_s=0), {"counted": 1}),
    ],
)
def test_an_installed_packages_operation_is_run(
    longshore: Longshore, payload: GenericPayload, data: dict[str, object]
) -> None:
    outcome = longshore.perform(generic, payload)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, ProcessResult)
    assert outcome.result.data == data


@pytest.mark.parametrize(
    ("operation", "code", "field"),
    [
        ("nobody", "unknown_operation", "operation"),
        ("gone", "operation_broken", "operation"),
        ("one", "operation_broken", "operation"),
        ("exits", "operation_broken", "operation"),
        ("wrong", "TypeError", None),
    ],
)
def test_what_cannot_be_run_ends_the_job_and_says_why(
    longshore: Longshore, operation: str, code: str, field: str | None
) -> None:
    outcome = longshore.perform(generic, asked(operation))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.field, outcome.permanent) == (code, field, True)


def test_who_claims_the_same_name_is_named_and_spoils_no_other() -> None:
    assert refused("twice") == ("operation_taken", "'twice' is registered by acme 1.0 and rival 1.0: remove one")
    assert refused("echo") == ("operation_taken", "'echo' is registered by longshore and acme 1.0: remove one")
    assert refused("a/b")[0] == "invalid_name"
    assert "acme 1.0 registers 'gone'" in refused("gone")[1]
    assert operations.find("resize").package == "acme 1.0"


def test_the_door_refuses_what_the_run_surely_would_and_no_more(longshore: Longshore) -> None:
    for operation, field in (("resize", "parameters.width"), ("twice", "operation")):
        with pytest.raises(InvalidInput) as caught:
            longshore.submit(asked(operation, width="no"))
        assert caught.value.field == field
    assert longshore.all_enqueued("generic") == []
    for operation in ("elsewhere", "gone"):  # a worker may have it
        longshore.submit(asked(operation))
    longshore.submit(asked("resize", width=1))
    assert longshore.drain(with_scheduled=True) == Drained(succeeded=1, failed=2)


def test_what_comes_past_the_door_is_looked_at_by_the_run(longshore: Longshore) -> None:
    for operation, code in (("resize", "invalid_parameters"), ("twice", "operation_taken")):
        longshore.send("generic", json.dumps({"job_id": f"job-{operation}", "operation": operation}))
        assert longshore.drain() == Drained(failed=1)
        error = longshore.job(f"job-{operation}").error
        assert error is not None
        assert error.code == code


def test_the_command_line_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["types", "generic", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["operations"]
    assert found["resize"]["description"] == "Make a picture smaller."
    assert found["resize"]["parameters_schema"]["required"] == ["width"]
    assert "acme 1.0 and rival 1.0" in found["twice"]["problem"]
    assert run(["types", "generic"]) == 0
    assert "Add the numbers." in capsys.readouterr().out
