"""One-shot mode: a job given in the environment runs once, here, and its outcome is the exit code.

For a container task or a batch scheduler: `JOB_TYPE`, `JOB_PAYLOAD` (JSON), and where given `JOB_ID`, `TENANT_ID`,
`USER_ID`, `WORKER_ID`. The job has a row like any other. A new id is started at once, with no message; the id of a job
that is queued is claimed. If this process dies, the reactor's wake-up finds the row when its lease is over, and the
type's own queue takes over.
"""

from collections.abc import Mapping
from enum import IntEnum

from pydantic_core import from_json

from shared.envelope import seal
from shared.errors import Conflict, InvalidInput
from shared.ids import new_job_id
from shared.job import Job, compact_json
from shared.moves import Lease
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.ports import Applied, Ports, Refused
from shared.runtime.attempt import Attempt
from shared.runtime.beats import LEASE_MS, Beats
from shared.runtime.definition import JobType
from shared.runtime.execute import begin
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.status import Status


class Exit(IntEnum):
    """0 done (wholly or partly), 1 failed, 75 to be tried again later by whoever is there (EX_TEMPFAIL)."""

    DONE = 0
    FAILED = 1
    AGAIN = 75


BASE = {"JOB_ID": "job_id", "TENANT_ID": "tenant_id", "USER_ID": "user_id", "WORKER_ID": "worker_id"}


def read_environment(environ: Mapping[str, str]) -> Payload:
    """The job that the environment names. Raises InvalidInput naming the variable or field that is wrong."""
    if not environ.get("JOB_TYPE"):
        raise InvalidInput("missing", "the job's type is expected", field="JOB_TYPE")
    try:
        document = from_json(environ.get("JOB_PAYLOAD", "{}"), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput("invalid_json", str(error), field="JOB_PAYLOAD") from None
    if not isinstance(document, dict):
        raise InvalidInput("invalid_json", "a JSON object is expected", field="JOB_PAYLOAD")
    base = {field: environ[variable] for variable, field in BASE.items() if environ.get(variable)}
    return read_payload(compact_json({**document, **base, "type": environ["JOB_TYPE"]}))


async def run_once(payload: Payload, job_type: JobType[Payload], ports: Ports, beats: Beats, *, who: str) -> Job:
    """Run the job once; → its row afterwards. Raises Conflict if it is over, runs elsewhere, or is another job."""
    now = ports.now()
    envelope = seal(payload, new_job_id(now, bytes.fromhex(ports.token() + ports.token())))
    lease = Lease(token=ports.token(), until=now + LEASE_MS, alone=True, who=who)
    begun = await begin(ports, envelope, lease, now=now)
    if isinstance(begun, Refused):
        row = begun.job
        raise Conflict("not_to_be_run", f"the job exists: {row and f'{row.type}, {row.status}'}", field="JOB_ID")
    host = Host(
        who=who,
        lease_until=lambda: ports.now() + LEASE_MS,
        time_left_s=lambda: float("inf"),
        beats=beats,
        floor=Floor(),
        solitary=True,
    )
    answer = await Attempt(job_type, ports).make(begun.job, envelope, None, host)
    if not isinstance(answer, Applied):
        raise Conflict("lease_lost", "another worker took this job over", field="JOB_ID")
    return answer.job


def exit_code(job: Job) -> Exit:
    if job.status in {Status.SUCCESS, Status.PARTIAL_SUCCESS}:
        return Exit.DONE
    return Exit.FAILED if job.status.is_terminal else Exit.AGAIN
