"""What producers and operators ask for: submit, look, cancel, redrive. CLI and HTTP API are thin layers over it."""

from collections.abc import Sequence
from typing import Final

from shared.admission import job_id_for, new_job
from shared.children import read_link
from shared.envelope import Envelope, seal
from shared.errors import Conflict, InvalidInput, NotFound, Permanent, WorldFault
from shared.job import Job
from shared.moves import cancel, redrive, request_cancel, submit
from shared.payloads.base import Payload
from shared.payloads.results import ErrorBody, Response
from shared.ports import Applied, Page, Ports
from shared.retry import DELAY_S_MAX
from shared.runtime.documents import failures_of, keep_payload, older_history_of, payload_of, response_of
from shared.runtime.operations import check_at_door
from shared.runtime.throttle_door import admitted, superseded
from shared.selection import Filter
from shared.status import Status
from shared.view import MoveView, move_view

LOOKS_MAX: Final = 20

CHANGES_MAX: Final = 5
"""A job that moves on between a decision and its write is looked at again this often."""


class Service:
    """All methods raise WorldFault if AWS does not answer, NotFound for what this tenant does not have."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def submit(self, payload: Payload, *, idempotency_key: str | None = None, delay_s: float = 0.0) -> Job:
        """Accept a job: one conditional put; the reactor does the rest. → its row, the old one if it existed already.

        The same id or idempotency key with another payload raises Conflict. A delay of up to a year.
        """
        job, _ = await self.accept(payload, idempotency_key=idempotency_key, delay_s=delay_s)
        return job

    async def accept(
        self, payload: Payload, *, idempotency_key: str | None = None, delay_s: float = 0.0
    ) -> tuple[Job, bool]:
        """`submit`, and whether the job is new."""
        check_at_door(payload)
        ports, now, due_at = self._ports, self._ports.now(), self._in(delay_s)
        envelope: Envelope[Payload] = seal(payload, self._id_for(payload, idempotency_key, now))
        entered = await admitted(ports, new_job(envelope, now=now, token=ports.token(), due_at=due_at), payload)
        if entered.instead is not None:
            return entered.instead, False
        job = entered.job
        await keep_payload(ports, job, envelope.body)
        answer = await ports.jobs.apply(submit(job))
        await superseded(ports, job, entered.before)
        found = answer.job
        if found is None:
            raise Conflict("vanished", "the job was there and is gone: submit again", field="job_id")
        if not isinstance(answer, Applied) and (found.type, found.payload_hash) != (job.type, job.payload_hash):
            field = "job_id" if idempotency_key is None else "idempotency_key"
            raise Conflict("conflict", f"it stands for {job.job_id}, of another type or payload", field=field)
        return found, isinstance(answer, Applied)

    async def cancel(self, tenant_id: str, job_id: str, *, who: str) -> Job:
        """End it: at once if nothing runs (CANCELLED), else by asking its worker, whose next beat tells it (RUNNING
        with `cancel_requested`). → its row. Conflict if it is over in another way; repeating it changes nothing."""
        ports, token = self._ports, self._ports.token()
        for _ in range(CHANGES_MAX):
            answer = await ports.jobs.apply(cancel(tenant_id, job_id, ports.now(), token=token, who=who))
            if isinstance(answer, Applied) or (answer.job and answer.job.status is Status.CANCELLED):
                return _there(answer.job, job_id)
            job = _there(answer.job, job_id)
            if job.status.is_terminal:
                raise Conflict("already_over", f"the job has ended: {job.status}", field="job_id")
            if job.status is Status.RUNNING and job.cancel_requested:
                return job
            if job.status is Status.RUNNING:
                asked = await ports.jobs.apply(request_cancel(tenant_id, job_id, ports.now(), who=who))
                if isinstance(asked, Applied):
                    return asked.job
        raise WorldFault("contended", f"the job moved on {CHANGES_MAX} times: try again")

    async def redrive(self, tenant_id: str, job_id: str, *, who: str, delay_s: float = 0.0) -> Job:
        """Run a job again that is over, with all its attempts, from its last checkpoint. → its row, QUEUED.

        Conflict if it still is, or again is, on its way; or if it is the child of one that is.
        """
        ports, due_at = self._ports, self._in(delay_s)
        job = await self.get(tenant_id, job_id)
        parent = await ports.jobs.get(tenant_id, read_link(job.parent).parent_id) if job.parent else None
        if parent is not None and not parent.status.is_terminal:
            raise Conflict("parent_alive", f"its parent, {parent.job_id}, is {parent.status}", field="job_id")
        answer = await ports.jobs.apply(redrive(job, ports.now(), due_at=due_at, token=ports.token(), who=who))
        if isinstance(answer, Applied):
            return answer.job
        raise Conflict("not_over", f"the job is {_there(answer.job, job_id).status}", field="job_id")

    async def get(self, tenant_id: str, job_id: str) -> Job:
        return _there(await self._ports.jobs.get(tenant_id, job_id), job_id)

    async def list(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page:
        """Newest first."""
        return await self._ports.jobs.list(tenant_id, limit=limit, cursor=cursor)

    async def find(self, tenant_id: str, wanted: Filter, *, limit: int = 50, cursor: str | None = None) -> Page:
        """Those of the list that match, newest first. A filter that finds little gives up after `LOOKS_MAX` pages,
        with a cursor to go on from."""
        found: list[Job] = []
        for _ in range(LOOKS_MAX):
            page = await self.list(tenant_id, limit=limit - len(found), cursor=cursor)
            found += [job for job in page.jobs if wanted.matches(job)]
            cursor = None if page.jobs and wanted.is_behind(page.jobs[-1]) else page.cursor
            if cursor is None or len(found) == limit:
                break
        return Page(tuple(found), cursor)

    async def payload(self, job: Job) -> str:
        """What it was asked to do, as JSON. NotFound if it is no longer kept."""
        try:
            return await payload_of(self._ports, job)
        except Permanent as gone:
            raise NotFound(gone.code, gone.message, field=gone.field) from None

    async def history(self, job: Job) -> Sequence[MoveView]:
        """Every move, oldest first: also those that the row had no room for."""
        return [move_view(entry) for entry in (*await older_history_of(self._ports, job), *job.history)]

    async def failures(self, job: Job) -> Sequence[ErrorBody]:
        """What the row had no room for: whole messages and stacks, newest first."""
        return await failures_of(self._ports, job)

    async def result(self, job: Job) -> Response:
        """The standard response of a job that is over: read from S3, or made of the row. NotFound while it is not."""
        return await response_of(self._ports, job)

    def _in(self, delay_s: float) -> int:
        if not 0 <= delay_s <= DELAY_S_MAX:
            raise InvalidInput("invalid_delay", f"0 to {DELAY_S_MAX} seconds", field="delay_s")
        return self._ports.now() + round(delay_s * 1000)

    def _id_for(self, payload: Payload, idempotency_key: str | None, now: int) -> str:
        dice = bytes.fromhex(self._ports.token() + self._ports.token())
        return job_id_for(payload, idempotency_key, now, dice)


def _there(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound("no_such_job", f"no job {job_id}", field="job_id")
    return job
