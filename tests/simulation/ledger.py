"""The books of a simulated world: what really happened, and every promise that was broken, written down on the spot.

Nobody in the world notices: a violation is a line, never an exception. I1 … I10 are the invariants of the design.
"""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pydantic_core import from_json

from shared.consequences import Record
from shared.ids import derived_job_id
from shared.job import Job
from shared.memory.side import MemorySide
from shared.moves import Move
from shared.ports import Message
from shared.status import MOVES, TERMINAL, Event, Status
from tests.simulation.weather import CALLER, RUN, SKEW_MS, Process, RunId, Story

CLAIMS: Final = {Event.CLAIM, Event.CLAIM_BARE, Event.START, Event.RECLAIM}
DEATHS: Final = {Event.RECLAIM, Event.BURY}
FAILURES: Final = {Event.FAIL, Event.RETRY}
GOES_ON: Final = {Event.RETRY, Event.SNOOZE, Event.PROCEED}
HELD: Final = {rule.event for rule in MOVES if "holds lease" in rule.guards}
LEGAL: Final = {(rule.event, rule.source, rule.target) for rule in MOVES}

JOB_TYPE: Final = "generic"

PATIENCE_MS: Final = 3_000
"""Who has had prompt answers must not give up what it holds before that."""


@dataclass(slots=True, eq=False)
class Claimed:
    """A run. `active`: its task still works on it. `failed`: its handler raised, or was stopped."""

    process: Process | None
    active: bool = True
    begun: bool = False
    """Its handler was called: whatever it does, it has done once more."""
    returned: bool = False
    failed: bool = False
    gave_up_at: int | None = None
    """Its task ended without a settlement, in a process that lived."""
    silence_ms: int = 0
    """How long it had had no prompt answer then."""


@dataclass(slots=True)
class Ledger:
    story: Story
    rows: dict[str, Job]
    side: MemorySide
    runs: dict[RunId, Claimed] = field(default_factory=dict)
    died_with: dict[Process, list[Claimed]] = field(default_factory=dict)
    """The runs that each dead process took along."""
    deaths: dict[str, int] = field(default_factory=dict)
    """Of each job's runs, how many died alone and were paid for."""
    asked: set[str] = field(default_factory=set)
    """Keys of the jobs that somebody asked to end."""
    unreadable: set[str] = field(default_factory=set)
    """Keys of the jobs whose payload nobody can read."""
    writers: dict[str, RunId | None] = field(default_factory=dict)
    """Who wrote each object."""
    received: dict[str, Message] = field(default_factory=dict)
    """By receipt."""
    purged: set[tuple[str, int]] = field(default_factory=set)
    """Key and seq of every wake-up that was lost with its queue."""
    events: set[Event] = field(default_factory=set)
    """Which moves were made."""
    written: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every write: the stream goes on."""
    judged: int = 0
    """Records of the stream whose writing was witnessed."""
    violations: list[str] = field(default_factory=list)

    def check(self, kept: bool, invariant: str, promise: str, about: object = "") -> None:
        if not kept:
            self.violations.append(f"{invariant}: {promise} ({about})")
            self.story.add("VIOLATION of {}: {} ({})", invariant, promise, about)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def began(self, job: Job, process: Process | None) -> None:
        """A claim was written by this very task."""
        run = Claimed(process)
        self.runs[job.key, job.epoch] = run
        RUN.set((job.key, job.epoch))
        task = CALLER.get() or asyncio.current_task()
        if process is not None and process not in self.died_with:
            self.died_with[process] = []
            process.on_death.append(lambda: self.died_with.update({process: self.active_in(process)}))
        if task is not None:
            task.add_done_callback(lambda task: self._left(run, task))

    def active_in(self, process: Process) -> list[Claimed]:
        return [run for run in self.runs.values() if run.process is process and run.active]

    def _left(self, run: Claimed, task: "asyncio.Task[object]") -> None:
        if run.active and run.process is not None and run.process.alive:
            run.gave_up_at = now = self.story.now()
            run.silence_ms = now - run.process.silences.get(task, now)
        run.active = False

    # --- moves --------------------------------------------------------------------------------------------------------

    def moved(self, record: Record, move: Move, process: Process | None) -> None:
        """A write to a row, just now, by this task."""
        event, old, new = move.event, record.old, record.new
        assert new is not None
        stale = event is Event.CLAIM and move.facts["seq"] != new.seq
        self.check(not stale, "I3", "a stale message begins nothing", new.key)
        run = (new.key, old.epoch) if old is not None else None
        by_holder = run is not None and RUN.get() == run
        self._is_legal(old, new, event)
        if old is not None:
            self._is_allowed(old, new, event, by_holder=by_holder)
        self._is_paid(old, new, event)
        self.events.add(event)
        self.written.set()
        if event in CLAIMS:
            self.began(new, process)
        elif by_holder and event in HELD and event is not Event.BEAT and run is not None:
            self.runs[run].active = False
        self.story.add("{}: {} {} → {}", process.name if process else "the wire", event, new.key, _brief(new))

    def _is_legal(self, old: Job | None, new: Job, event: Event) -> None:
        source = None if old is None else old.status
        queued = new.status is Status.QUEUED and source is not None
        seq, epoch = (1, 0) if old is None else (old.seq + queued, old.epoch)
        numbers = (seq, epoch + (event in CLAIMS))
        self.check((event, source, new.status) in LEGAL, "I1", f"{event} from {source} to {new.status}", new.key)
        self.check((new.seq, new.epoch) == numbers, "I1", f"seq and epoch are {numbers} after {event}", new)

    def _is_allowed(self, old: Job, new: Job, event: Event, *, by_holder: bool) -> None:
        now, is_running = self.story.now(), old.status is Status.RUNNING
        takes_over = is_running and not by_holder and event in {*DEATHS, Event.CANCEL, Event.CANCELLED}
        over = old.status in TERMINAL and event is not Event.REDRIVE
        self.check(not over, "I4", "what is over stays over", new.key)
        self.check(by_holder or takes_over or event not in HELD, "I2", f"{event} by one without the lease", new.key)
        early = takes_over and (old.lease_until or 0) >= now + SKEW_MS
        self.check(not early, "I2", f"{event} during a live lease", new.key)
        due = event is not Event.CLAIM or old.due_at <= now + 3 * SKEW_MS
        self.check(due, "I4", "nothing begins before it is due", new.key)
        begins = event in CLAIMS or event in GOES_ON
        self.check(not (old.cancel_requested and begins), "I4", "who was asked to end begins nothing more", new.key)
        asked = new.status is not Status.CANCELLED or self.was_asked(new)
        self.check(asked, "I4", "nobody is cancelled who was not asked to end", new.key)

    def was_asked(self, job: Job) -> bool:
        return job.key in self.asked

    def _is_paid(self, old: Job | None, new: Job, event: Event) -> None:
        """I6: an attempt is spent by failures and by deaths that were surely this job's, and by each."""
        spent = 0 if old is None else old.attempts_left - new.attempts_left
        if old is not None and event in FAILURES:
            run = self.runs.get((old.key, old.epoch))
            failed = old.key in self.unreadable or (run is not None and run.failed)
            self.check(spent == 1 and failed, "I6", f"{event} costs {spent}, the run failed: {failed}", new.key)
        elif old is not None and event in DEATHS and old.alone:
            self.deaths[new.key] = self.deaths.get(new.key, 0) + 1
            self.check(spent == 1, "I6", f"a lonely death costs {spent}", new.key)
            self.check(self._died_alone(old), "I6", "a death that was not surely this job's costs an attempt", new.key)
        elif event is Event.REDRIVE:
            self.check(new.attempts == 0, "I6", "attempts start anew", new)
        else:
            self.check(spent == 0, "I6", f"{event} costs {spent}", new.key)

    def _died_alone(self, job: Job) -> bool:
        """Or outlived its lease, or could reach nobody for long, alone: nobody could tell the difference."""
        run = self.runs.get((job.key, job.epoch))
        if run is None or run.process is None:
            return True
        if run.gave_up_at is not None:
            return run.gave_up_at > (job.lease_until or 0) - SKEW_MS or run.silence_ms >= PATIENCE_MS
        others = self.active_in(run.process) if run.process.alive else self.died_with[run.process]
        return set(others) <= {run}

    # --- messages -----------------------------------------------------------------------------------------------------

    def acknowledged(self, job_type: str, message: Message) -> None:
        """I3: nobody needs it any more; I7: or it is kept in quarantine."""
        kept = ("quarantine", f"{job_type}#{message.message_id}") in self.side.items
        self.check(kept or not self._is_needed(message), "I3", "a message is deleted that is needed", message.body)

    def _is_needed(self, message: Message) -> bool:
        key, seq = meant(message.body, message.message_id)
        row = self.rows.get(key)
        return row is None or (row.status not in TERMINAL and row.seq <= seq)

    # --- objects ------------------------------------------------------------------------------------------------------

    def wrote(self, key: str) -> None:
        """I2: what one run has written, no other overwrites."""
        run = RUN.get()
        writer = self.writers.setdefault(key, run)
        self.check(writer == run, "I2", f"{run} overwrites what {writer} wrote", key)


@lru_cache(maxsize=4_096)
def meant(body: str, message_id: str) -> tuple[str, int]:
    """The key of the job that a message means, and its seq."""
    try:
        found = from_json(body)
    except ValueError:
        found = None
    fields: dict[str, object] = found if isinstance(found, dict) else {}
    job_id = fields.get("job_id", fields.get("jobId", derived_job_id(JOB_TYPE, message_id)))
    return f"{fields.get('tenant_id', 'default')}#{job_id}", int(str(fields.get("seq", 1)))


def _brief(job: Job) -> str:
    lease = f" lease {job.epoch}-{job.token[:4]}" if job.status is Status.RUNNING else ""
    alone = " alone" if job.alone else ""
    flag = " asked to end" if job.cancel_requested else ""
    return f"{job.status} seq {job.seq}{lease}{alone}, {job.attempts_left} attempts left{flag}"
