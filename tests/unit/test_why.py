"""Why a running job is not over: its worker is heard of, may be dead, is dead, or has been asked to stop."""

from dataclasses import replace

import pytest

from shared.admission import new_job
from shared.envelope import seal
from shared.payloads.generic import GenericPayload
from shared.status import Status
from shared.why import why

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("lease_left_ms", "fields", "codes", "told"),
    [
        (45_001, {}, ["running"], "attempt 1 of 3. A worker that is not heard of for 46 s more counts as dead."),
        (0, {}, ["running"], "for 0 s more"),
        (-5_000, {}, ["worker_died"], "its lease is over since 5 s"),
        (9_000, {"cancel_requested": True}, ["stopping", "running"], "for 9 s more"),
        (-1_000, {"cancel_requested": True}, ["stopping", "worker_died"], "another goes on"),
    ],
)
def test_a_running_jobs_worker_is_alive_until_its_lease_is_over(
    lease_left_ms: int, fields: dict[str, object], codes: list[str], told: str
) -> None:
    fresh = new_job(seal(GenericPayload(tenant_id="acme", operation="x"), "job_1"), now=NOW, token="t")
    job = replace(fresh, status=Status.RUNNING, lease_until=NOW + lease_left_ms, **fields)  # type: ignore[arg-type]  # a test's own fields
    reasons = why(job, NOW)
    assert [one.code for one in reasons] == codes
    assert told in reasons[-1].text
