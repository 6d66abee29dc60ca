"""Pausing and resuming, against a running local cloud: through real queues, tables and functions."""

from collections.abc import Iterator

import pytest

from tests.e2e.cli import Longshore, up


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    with up(tmp_path_factory.mktemp("pausing")) as running:
        yield running


def test_what_is_paused_waits_says_so_and_runs_when_it_is_resumed(longshore: Longshore) -> None:
    paused = longshore("pause", "generic", "--reason", "the host moves")
    assert (paused.code, paused.out.split()[0]) == (0, "tenant.generic")
    ids = [longshore("submit", "generic", "operation=echo").out.strip() for _ in range(3)]
    other = longshore("submit", "generic", "operation=echo", "--tenant", "other", "--watch")
    assert other.code == 0, "another tenant's go on, and came after"
    found = longshore.over_http("why", ids[0], "--json").document["reasons"][0]
    assert (found["code"], found["action"]) == ("paused", "resume it: longshore resume tenant.generic")
    assert longshore("pauses").out.startswith("tenant.generic  paused by ")
    assert longshore("status", ids[0], "--json").document["status"] == "QUEUED"
    resumed = longshore("resume", "generic")
    assert (resumed.code, resumed.out.split(",")[0]) == (0, "tenant.generic  resumed")
    assert longshore("watch", *ids).code == 0
    assert longshore("pauses").out == ""
    assert longshore("resume", "generic").code == 3
    assert longshore("resume", "../jobs").code == 3
