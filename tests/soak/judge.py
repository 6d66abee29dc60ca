"""Do the books balance? What was accepted, what was done, and what the rows say, held against each other."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from shared.job import Job, read_history_entry
from shared.status import Event, Status
from tests.soak.jobs import KINDS
from tests.soak.ledger import Line

SETTLED = {Status.SUCCESS, Status.PARTIAL_SUCCESS}
ENDINGS = {Event.SUCCEED, Event.SUCCEED_PARTLY, Event.FAIL, Event.BURY, Event.CANCEL, Event.CANCELLED}
ENDS_OF_RUNS = {"effect", "again", "failed", "stopped"}


@dataclass(frozen=True)
class Books:
    """`rows` and `histories` (whole, oldest first) by `tenant#job_id`; `results`: the epoch that each result names."""

    lines: Sequence[Line]
    rows: Mapping[str, Job]
    histories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    results: Mapping[str, object] = field(default_factory=dict)
    quarantine: Sequence[str] = ()
    messages_left: int = 0
    dead_letters: int = 0
    bugs: int = 0

    def of(self, what: str) -> list[Line]:
        return [line for line in self.lines if line["what"] == what]

    def jobs(self, *whats: str) -> dict[str, Line]:
        return {str(line["job"]): line for what in whats for line in self.of(what) if "job" in line}

    @property
    def purged_until(self) -> int:
        return max((int(str(line["at"])) for line in self.of("purged")), default=0)

    @cached_property
    def runs(self) -> dict[tuple[str, int], "Run"]:
        """By job and epoch."""
        runs = {}
        for line in self.lines:
            if line["what"] == "began":
                runs[_run(line)] = Run(int(str(line["pid"])), int(str(line["at"])))
            elif line["what"] in ENDS_OF_RUNS and _run(line) in runs:
                runs[_run(line)].end = str(line["what"])
        return runs


@dataclass
class Run:
    pid: int
    began_at: int
    end: str | None = None
    """None: it was killed."""


def judge(books: Books) -> list[str]:
    """What does not hold."""
    return [*_nothing_is_lost(books), *_all_is_over(books), *_what_is_done_is_done(books), *_attempts(books)]


def _nothing_is_lost(books: Books) -> Iterator[str]:
    for key in books.jobs("accepted").keys() - books.rows.keys():
        yield f"{key} was accepted and is gone"
    for key, line in books.jobs("bare").items():
        if key not in books.rows and int(str(line["at"])) > books.purged_until:
            yield f"{key} was sent as a bare message and is gone"
    for key in books.rows.keys() - books.jobs("intent").keys():
        yield f"{key} was asked for by nobody"
    sent = {str(line["body"]) for line in books.of("intent") if "job" not in line}
    for body in set(books.quarantine) - sent:
        yield f"{body!r:.100} does not belong in quarantine"
    for line in books.of("garbage"):
        if line["body"] not in books.quarantine and int(str(line["at"])) > books.purged_until:
            yield f"{line['body']!r:.100} should be in quarantine"


def _all_is_over(books: Books) -> Iterator[str]:
    if books.messages_left:
        yield f"{books.messages_left} messages are left"
    if books.bugs:
        yield f"{books.bugs} bugs of ours in the logs"
    orders, asked = books.jobs("intent"), books.jobs("asked").keys() - books.jobs("too_late").keys()
    for key, row in books.rows.items():
        ends = [event for event in _events(books, key) if event in ENDINGS]
        if len(ends) != 1 or not row.status.is_terminal:
            yield f"{key} has {len(ends)} ends: {row.status}"
        allowed = {KINDS[str(orders[key]["kind"])].ends} if key in orders else set()
        allowed |= {Status.CANCELLED} if key in asked else set()
        allowed |= {Status.FAILED} if row.attempts == row.attempts_max else set()
        if row.status.is_terminal and row.status not in allowed:
            yield f"{key} ends as {row.status}, not as one of {sorted(allowed)}"


def _what_is_done_is_done(books: Books) -> Iterator[str]:
    done = {_run(line) for line in books.of("effect")}
    for key, row in books.rows.items():
        if row.status not in SETTLED:
            if row.result or row.inline_result:
                yield f"{key} is {row.status} and has a result"
            continue
        if (key, row.epoch) not in done:
            yield f"{key} is {row.status} by run {row.epoch}, which did nothing"
        if row.result and not row.result.startswith(f"artifacts/{row.tenant_id}/{row.job_id}/{row.epoch}-"):
            yield f"{key} was settled by run {row.epoch}, and publishes {row.result}"
        if books.results.get(key) != row.epoch:
            yield f"{key} was settled by run {row.epoch}, its result is of run {books.results.get(key)}"


def _attempts(books: Books) -> Iterator[str]:
    """Spent by failures, and by deaths that were surely the job's own: nobody else died with it."""
    dead = Counter(run.pid for run in books.runs.values() if run.end is None)
    failures = Counter(key for (key, _), run in books.runs.items() if run.end in {"failed", "stopped"})
    in_company = Counter(key for (key, _), run in books.runs.items() if run.end is None and dead[run.pid] > 1)
    for key, row in books.rows.items():
        taken_over = sum(event in {Event.RECLAIM, Event.BURY} for event in _events(books, key))
        ended_after_death = row.status is Status.CANCELLED
        may = failures[key] + max(0, taken_over - in_company[key] + ended_after_death)
        if row.attempts > may:
            yield f"{key} spent {row.attempts} attempts; at most {may} by failures and lonely deaths"


def recoveries_ms(books: Books) -> dict[str, list[int]]:
    """From a kill to the next claim of each job that was killed, by what was killed; but not where a purge came
    between: then it is the audit that brings the job back."""
    kills = {int(str(line["victim"])): line for line in reversed(books.of("killed"))}
    purges = [int(str(line["at"])) for line in books.of("purged")]
    found: dict[str, list[int]] = defaultdict(list)
    for (key, epoch), run in books.runs.items():
        following = books.runs.get((key, epoch + 1))
        if run.end is None and following is not None and run.pid in kills:
            killed_at = int(str(kills[run.pid]["at"]))
            if not any(killed_at <= at <= following.began_at for at in purges):
                found[str(kills[run.pid]["target"])].append(following.began_at - killed_at)
    return found


def _events(books: Books, key: str) -> list[Event]:
    return [read_history_entry(entry).event for entry in books.histories.get(key, ())]


def _run(line: Line) -> tuple[str, int]:
    return str(line["job"]), int(str(line["epoch"]))
