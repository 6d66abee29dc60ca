"""Which jobs wait for their turn, and what with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic_core import from_json

from infra.testing.world import Declared, World
from shared.envelope import stored_payload
from shared.errors import InvalidInput
from shared.job import Job
from shared.lanes import priority_of
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.runtime.documents import payload_of
from shared.status import Status

Type = str | Declared | type[Payload]
"""A job type: its name, its handler or its payload model."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    job: Job
    payload: Payload

    def has(self, fields: Mapping[str, object]) -> bool:
        """A field's value may be as the model has it, or as JSON has it."""
        as_json = self.payload.model_dump(mode="json")
        return all(value in (getattr(self.payload, name), as_json[name]) for name, value in fields.items())

    def __str__(self) -> str:
        fields = self.payload.model_dump(mode="json", exclude_defaults=True, exclude={"job_id"})
        return f"  {self.job.type} {fields}, {self.job.job_id}"


async def enqueued(world: World) -> list[Enqueued]:
    """All jobs that are QUEUED, delayed ones and retries too, in the order of submission."""
    queued = [job for job in world.jobs.rows.values() if job.status is Status.QUEUED]
    return [Enqueued(job, await _payload(world, job)) for job in queued]


async def _payload(world: World, job: Job) -> Payload:
    base: dict[str, object] = {name: getattr(job, name) for name in ("tenant_id", "job_id", "user_id", "worker_id")}
    base["metadata"] = {} if job.metadata is None else from_json(job.metadata)
    base["priority"] = priority_of(job.priority)
    return stored_payload(job.type, await payload_of(world.ports, job), base)


def matching(jobs: Sequence[Enqueued], job_type: Type, fields: Mapping[str, object]) -> list[Enqueued]:
    """Those of this type with these values. Raises InvalidInput if the type, or its payload's field, is unknown."""
    name = name_of(job_type)
    if name not in TYPES:
        raise InvalidInput("no_such_type", f"there is no job type {name!r}: use() it first", field="job_type")
    known = TYPES[name].model_fields
    for field in fields:
        if field not in known:
            raise InvalidInput("no_such_field", f"payloads of type {name!r} have {', '.join(known)}", field=field)
    return [one for one in jobs if one.job.type == name and one.has(fields)]


def name_of(job_type: Type) -> str:
    if isinstance(job_type, type):
        return cast("str", job_type.model_fields["type"].default)
    return job_type if isinstance(job_type, str) else job_type.type


def described(job_type: Type, fields: Mapping[str, object], jobs: Sequence[Enqueued], world: World) -> str:
    """What was looked for, and what there is, for whoever reads a failure."""
    wanted = ", ".join([name_of(job_type), *(f"{name}={value!r}" for name, value in fields.items())])
    messages = {name: len(held) for name, held in world.queues.held.items() if held}
    there = ["enqueued are:", *map(str, jobs)] if jobs else ["nothing is enqueued"]
    return "\n".join([wanted, *there, *([f"messages in the queues: {messages}"] if messages else [])])
