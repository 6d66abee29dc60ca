"""Jobs on issues as jobs: killed anywhere and run again, put off by rate limits, tried again with what was wrong."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from infra.testing import Longshore
from infra.testing.crash import Kit
from shared.issues import github as github_module
from shared.issues import model as model_module
from shared.issues.http import Request
from shared.payloads.auto_resolve_issue import AutoResolveIssuePayload, AutoResolveOptions
from shared.payloads.comment_on_issue import CommentOnIssuePayload, IssuePayload
from shared.payloads.resolve_issue import ResolveIssuePayload
from shared.runtime.webhooks import LOCAL_VARIABLE
from tests.github import Github, Mind, Reply, secrets, wire
from tests.handlers.test_issues import FILES, FIX, proposal

Json = Any  # a JSON document

PLACE = {"issue_number": 7, "repo_full_name": "acme/shop", "model": "secret://model"}
JOBS: list[IssuePayload] = [
    CommentOnIssuePayload(**PLACE),  # type: ignore[arg-type]  # of several types
    ResolveIssuePayload(**PLACE),  # type: ignore[arg-type]  # of several types
    AutoResolveIssuePayload(options=AutoResolveOptions(max_attempts=2), **PLACE),  # type: ignore[arg-type]  # of several types
]


@dataclass
class Servers:
    """Fresh ones for every world. The model's first change never fits."""

    github: Github
    mind: Mind

    def begin(self) -> None:
        self.github = Github(dict(FILES))
        self.mind = Mind(self._says)

    def _says(self, instructions: str, document: Json) -> Json:
        if '"files"' in instructions:
            return {"files": ["shop/add.py"]}
        if '"comment"' in instructions:
            return {"comment": "It subtracts."}
        wrong = "problem" not in document and self.one_is_wrong
        return proposal(FIX | {"find": "nowhere"} if wrong else FIX)

    one_is_wrong: bool = False

    def ask_github(self, request: Request) -> Reply:
        return self.github.answer(request)

    def ask_model(self, request: Request) -> Reply:
        return self.mind.answer(request)


@pytest.fixture
def servers(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """In memory, since time is virtual."""
    monkeypatch.setenv(LOCAL_VARIABLE, "1")
    found = Servers(Github(), Mind(lambda *_: ""))
    found.begin()
    net = wire({"github": found.ask_github, "model": found.ask_model})
    monkeypatch.setattr(github_module, "net", net)
    monkeypatch.setattr(model_module, "net", net)
    for name, value in secrets("http://github.test", "http://model.test").items():
        longshore.put_secret(name, value)
    return found


@pytest.mark.parametrize("payload", JOBS, ids=lambda payload: payload.type)
def test_wherever_it_dies_there_is_one_comment_one_branch_and_one_pull_request(
    longshore: Longshore, servers: Servers, payload: IssuePayload
) -> None:
    servers.one_is_wrong = payload.type == "auto_resolve_issue"

    def check(_: Kit) -> None:
        there = (len(servers.github.comments), len(servers.github.branches) - 1, len(servers.github.pulls))
        servers.begin()
        assert there == ((1, 0, 0) if payload.type == "comment_on_issue" else (1, 1, 1))

    assert longshore.crash_points(payload, check) > 50


@pytest.mark.parametrize("payload", JOBS, ids=lambda payload: payload.type)
def test_a_rate_limit_is_waited_for_as_long_as_it_says(
    longshore: Longshore, servers: Servers, payload: IssuePayload
) -> None:
    begun = longshore.clock.now()
    limited: Reply = (403, {"message": "no"}, {"Retry-After": "3000"})
    servers.github.trouble = lambda one: (
        limited if one.method == "POST" and longshore.clock.now() < begun + 3_000_000 else None
    )
    job = longshore.submit(payload)
    drained = longshore.drain(with_scheduled=True)
    assert (drained.snoozed, drained.retried, drained.succeeded) == (1, 0, 1)
    assert longshore.clock.now() >= begun + 3_000_000
    assert longshore.job(job.job_id).status == "SUCCESS"
    assert len(servers.mind.seen) == 2, "what the model said is kept"


def test_a_limit_that_is_never_over_ends_the_job_after_a_day(longshore: Longshore, servers: Servers) -> None:
    begun = longshore.clock.now()
    servers.github.trouble = lambda _: (429, {"message": "slow"}, {"Retry-After": "3000"})
    job = longshore.submit(JOBS[0])
    drained = longshore.drain(with_scheduled=True)
    assert (drained.failed, drained.retried, longshore.job(job.job_id).status) == (1, 4, "FAILED")
    assert 15 < drained.snoozed < 30
    assert longshore.clock.now() - begun < 36 * 3600 * 1000
    assert "rate_limited" in str(longshore.result(job.job_id).error)
    servers.begin()
    limited = [(429, {"message": "slow"}, {"Retry-After": "3000"})]
    servers.github.trouble = lambda _: limited.pop() if limited else None
    longshore.redrive(job.job_id)
    drained = longshore.drain(with_scheduled=True)
    assert (drained.snoozed, drained.retried, drained.succeeded) == (1, 0, 1), "it is patient anew"


def test_a_failed_job_tells_why_and_a_redrive_makes_its_last_try_again(longshore: Longshore, servers: Servers) -> None:
    servers.mind.says = lambda instructions, _: {"files": []} if '"files"' in instructions else "no"
    job = longshore.submit(JOBS[2])
    assert longshore.drain(with_scheduled=True).failed == 1
    assert longshore.result(job.job_id).error is not None
    assert "no answer of 2 could be used" in str(longshore.result(job.job_id).error)
    servers.begin()
    longshore.redrive(job.job_id)
    assert longshore.drain(with_scheduled=True).succeeded == 1
    result = longshore.result(job.job_id).data.result
    assert json.loads(json.dumps(result))["metadata"]["attempts"] == 2
