"""What may be read by whoever reads the logs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import Transient, WorldFault
from shared.memory.connections import MemoryConnections
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Ports
from shared.runtime.breaker import Circuits
from shared.runtime.context import Context
from shared.runtime.logs import NAMESPACE, configure_logs, count, get_logger, redacted
from shared.runtime.watchers import broadcast
from tests.unit.runtime.test_breaker import Host, MeteredSide, opened, played, tried
from tests.unit.runtime.test_watchers import ask
from tests.unit.runtime.test_watchers import opened as open_socket
from tests.world import World, in_world

URL = "postgresql://me:s3cret@host/db"


def test_foreign_words_are_logged_without_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO")
    fault = WorldFault("unreachable", f"no answer from {URL}")
    get_logger().warning("world_fault", reason=str(fault))
    try:
        raise fault
    except WorldFault:
        get_logger().exception("worker_bug")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["world_fault", "worker_bug"]
    assert "WorldFault" in lines[1]["exception"]
    assert "s3cret" not in json.dumps(lines)


@pytest.mark.parametrize("text", [URL, f"at {URL}!", "password=s3cret", "Password = s3cret host=x", "a+b://u:s3cret@h"])
def test_a_password_is_not_repeated(text: str) -> None:
    assert "s3cret" not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize("text", ["a" * 2_000_000, "a+" * 1_000_000, "://" * 700_000, "password " * 200_000])
def test_a_text_of_megabytes_is_read_in_one_go(text: str) -> None:
    assert redacted(text) == text


# --- metrics ----------------------------------------------------------------------------------------------------------


def metrics_of(line: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """What CloudWatch reads out of a line: metric → value, unit. Every dimension must be a text of the line."""
    (definition,) = line["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == NAMESPACE
    (dimensions,) = definition["Dimensions"]
    assert set(dimensions) <= {"stack", "type"}, "a tenant or a job would be a metric, and a price, of its own"
    assert all(isinstance(line[name], str) for name in dimensions)
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000
    return {metric["Name"]: (line[metric["Name"]], metric["Unit"]) for metric in definition["Metrics"]}


def test_a_count_is_a_metric_of_its_stack(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING")
    count("ghost", stack="mine", message_id="m")
    line = json.loads(capsys.readouterr().out)
    assert (metrics_of(line), line["stack"], line["level"]) == ({"ghost": (1, "Count")}, "mine", "warning")


def test_the_end_of_a_run_tells_how_long_it_took_and_waited_and_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    async def moody(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.epoch == 1:
            raise Transient("busy", "later", retry_after_s=2)
        return ProcessResult()

    async def story(world: World) -> None:
        await world.submit()
        await world.drain()

    configure_logs("INFO")
    in_world(moody, story)
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    retried, done = (line for line in lines if line["event"] == "run_settled")
    for line in (retried, done):
        found = metrics_of(line)
        assert {name for name, (_, unit) in found.items() if unit == "Milliseconds"} == {
            "duration_ms", "wait_ms", "settle_ms"
        }  # fmt: skip
        assert all(value >= 0 for value, _ in found.values())
        assert line["type"] == "generic"
    assert (retried["retried"], retried["recovered"], retried["code"]) == (1, 0, "busy")
    assert (done["retried"], done["recovered"], done["failed"]) == (0, 1, 0)


def counted(told: str, event: str) -> list[dict[str, tuple[float, str]]]:
    lines = [json.loads(text) for text in told.splitlines()]
    return [metrics_of(line) for line in lines if line["event"] == event]


def test_a_circuit_is_counted_when_it_opens_and_not_for_each_failure(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING")

    async def story(ports: Ports, _side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        assert await tried(Circuits(ports), host) == "open"

    played(story)
    assert counted(capsys.readouterr().out, "circuit_opened") == [{"circuit_opened": (1, "Count")}]


def test_who_was_told_is_counted_and_who_could_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO")

    class Broken(MemoryConnections):
        async def post(self, connection_id: str, data: bytes) -> bool:
            raise WorldFault("throttled", "too many")

    async def story(world: World) -> None:
        await open_socket(world, "a")
        await ask(world, "a", action="subscribe", topic="tenant")
        await world.submit()
        await broadcast(world.ports, world.jobs.stream)
        await broadcast(replace(world.ports, connections=Broken()), world.jobs.stream)

    async def never(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return ProcessResult()

    in_world(never, story)
    told = capsys.readouterr().out
    assert counted(told, "broadcast") == [{"broadcast_sent": (1, "Count")}]
    assert counted(told, "broadcast_failed") == [{"broadcast_failed": (1, "Count")}]
