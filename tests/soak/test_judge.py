"""The judge of a soak is seen to notice: books that balance, then with one thing wrong at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from shared.job import Job, history_entry
from shared.status import Event, Status
from tests.soak.judge import Books, judge, recoveries_ms
from tests.soak.ledger import Line

E: Final = Event
GARBAGE: Final = '{"broken": "1"'


def line(what: str, at: int, **fields: str | int) -> Line:
    return {"what": what, "at": at, "pid": 1, **fields}


def row(name: str, status: Status, *, epoch: int = 1, attempts: int = 0, attempts_max: int = 3) -> Job:
    return Job(
        tenant_id="t", job_id=name, type="generic", status=status, seq=1, epoch=epoch, token="0" * 16,
        attempts_left=attempts_max - attempts, attempts_max=attempts_max, created_at=0, updated_at=9, due_at=0,
        payload_hash="", inline_result="{}" if status is Status.SUCCESS else None,
    )  # fmt: skip


def balanced() -> Books:
    """`done` at once, `failed` for good, `one` and `two` killed together, `poison` that killed its worker alone."""
    kinds = {"done": "quick", "failed": "permanent", "one": "slow", "two": "slow", "poison": "poisonous"}
    lines = [line("intent", 0, job=f"t#{name}", kind=kind) for name, kind in kinds.items()]
    lines += [line("accepted", 1, job=f"t#{name}", kind=kind) for name, kind in kinds.items() if name != "done"]
    lines += [line("bare", 1, job="t#done", kind="quick"), line("intent", 1, body=GARBAGE)]
    lines += [line("garbage", 1, body=GARBAGE)]
    lines += [line("began", 2, job=f"t#{name}", epoch=1) for name in ("done", "failed")]
    lines += [line("effect", 3, job="t#done", epoch=1), line("failed", 3, job="t#failed", epoch=1)]
    lines += [line("began", 2, job=f"t#{name}", epoch=1, pid=9) for name in ("one", "two")]
    lines += [line("began", 2, job="t#poison", epoch=1, pid=8), line("killed", 4, target="worker", victim=9)]
    for name in ("one", "two"):
        lines += [line("began", 6, job=f"t#{name}", epoch=2), line("effect", 7, job=f"t#{name}", epoch=2)]
    ends = {
        "done": (E.CLAIM_BARE, E.SUCCEED),
        "failed": (E.SUBMIT, E.CLAIM, E.FAIL),
        "one": (E.SUBMIT, E.CLAIM, E.RECLAIM, E.SUCCEED),
        "two": (E.SUBMIT, E.CLAIM, E.RECLAIM, E.SUCCEED),
        "poison": (E.SUBMIT, E.CLAIM, E.BURY),
    }
    rows = [
        row("done", Status.SUCCESS),
        row("failed", Status.FAILED, attempts=1),
        row("one", Status.SUCCESS, epoch=2),
        row("two", Status.SUCCESS, epoch=2),
        row("poison", Status.FAILED, attempts=1, attempts_max=1),
    ]
    return Books(
        lines=lines,
        rows={row.key: row for row in rows},
        histories={f"t#{name}": [history_entry(0, event, "w") for event in events] for name, events in ends.items()},
        results={row.key: row.epoch for row in rows if row.status is Status.SUCCESS},
        quarantine=[GARBAGE],
    )


def without_row(name: str) -> Callable[[Books], Books]:
    return lambda books: replace(books, rows={key: row for key, row in books.rows.items() if key != f"t#{name}"})


def with_row(name: str, **changes: object) -> Callable[[Books], Books]:
    def change(books: Books) -> Books:
        changed = replace(books.rows[f"t#{name}"], **changes)  # type: ignore[arg-type]  # a test's own names
        return replace(books, rows={**books.rows, f"t#{name}": changed})

    return change


def without_line(what: str, name: str) -> Callable[[Books], Books]:
    def change(books: Books) -> Books:
        kept = [line for line in books.lines if (line["what"], line.get("job")) != (what, f"t#{name}")]
        return replace(books, lines=kept)

    return change


WRONG: Final[dict[str, tuple[Callable[[Books], Books], str]]] = {
    "lost": (without_row("one"), "t#one was accepted and is gone"),
    "lost bare": (without_row("done"), "t#done was sent as a bare message and is gone"),
    "nobody's": (without_line("intent", "one"), "t#one was asked for by nobody"),
    "not in quarantine": (lambda books: replace(books, quarantine=[]), "should be in quarantine"),
    "wrongly in quarantine": (lambda books: replace(books, quarantine=[GARBAGE, "good"]), "does not belong"),
    "message left": (lambda books: replace(books, messages_left=1), "1 messages are left"),
    "bug": (lambda books: replace(books, bugs=1), "1 bugs of ours"),
    "stuck": (with_row("one", status=Status.RUNNING, inline_result=None), "t#one has 1 ends: RUNNING"),
    "two ends": (
        lambda books: replace(books, histories={**books.histories, "t#one": [history_entry(0, E.SUCCEED, "w")] * 2}),
        "t#one has 2 ends",
    ),
    "another end": (with_row("done", status=Status.CANCELLED, inline_result=None), "t#done ends as CANCELLED"),
    "no effect": (without_line("effect", "done"), "t#done is SUCCESS by run 1, which did nothing"),
    "another run's result": (
        lambda books: replace(books, results={**books.results, "t#one": 1}),
        "t#one was settled by run 2, its result is of run 1",
    ),
    "another run's key": (
        with_row("one", result="artifacts/t/one/1-00/_result.json"),
        "and publishes artifacts/t/one/1-",
    ),
    "result of a failure": (with_row("failed", inline_result="{}"), "t#failed is FAILED and has a result"),
    "a neighbour's death": (with_row("one", attempts_left=2), "t#one spent 1 attempts; at most 0"),
    "an attempt for nothing": (with_row("done", attempts_left=2), "t#done spent 1 attempts; at most 0"),
}


def test_books_in_order_are_passed() -> None:
    assert judge(balanced()) == []


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_whatever_is_wrong_is_said(change: Callable[[Books], Books], said: str) -> None:
    assert any(said in found for found in judge(change(balanced())))


def test_what_a_purge_took_of_bare_messages_is_not_held_against_the_system() -> None:
    books = without_row("done")(balanced())
    assert judge(replace(books, lines=[*books.lines, line("purged", 2)])) == []


def test_recovery_is_from_the_kill_to_the_next_claim() -> None:
    assert recoveries_ms(balanced()) == {"worker": [2, 2]}
