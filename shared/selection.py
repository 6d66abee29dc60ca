"""Which jobs are meant: a filter over rows, for lists and for whatever is done to many jobs at once. Pure."""

from dataclasses import dataclass, fields

from shared.fingerprint import is_like
from shared.job import Job
from shared.status import Status

ALIVE = frozenset(status for status in Status if not status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Jobs for which all holds that is said. Times in milliseconds since the epoch.

    `error` is a fingerprint, or an error's code; `text` stands, in any case, in the id, type, user, metadata, error or
    progress, or in a payload small enough to be kept in the row.
    """

    statuses: frozenset[Status] = frozenset()
    type: str | None = None
    error: str | None = None
    text: str | None = None
    created_since: int | None = None
    created_until: int | None = None
    ended_since: int | None = None

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self))

    def matches(self, job: Job) -> bool:
        return (
            (not self.statuses or job.status in self.statuses)
            and self.type in (None, "", job.type)
            and (not self.error or is_like(job, self.error))
            and (not self.text or _says(job, self.text.casefold()))
            and (self.created_since is None or job.created_at >= self.created_since)
            and (self.created_until is None or job.created_at <= self.created_until)
            and (self.ended_since is None or (job.completed_at or job.updated_at) >= self.ended_since)
        )

    def is_behind(self, job: Job) -> bool:
        """In a list of the newest first: can nothing after `job` match any more?"""
        return self.created_since is not None and job.created_at < self.created_since


def _says(job: Job, text: str) -> bool:
    words = (job.job_id, job.type, job.user_id, job.metadata, job.error, job.progress, job.payload)
    return any(text in word.casefold() for word in words if word)
