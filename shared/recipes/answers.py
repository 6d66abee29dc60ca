"""What the jobs of recipes answer, as JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from pydantic import JsonValue

from shared.payloads.results import ProcessResult, RowError
from shared.recipes.categories import Label
from shared.recipes.segments import Line, Segment
from shared.recipes.store import SavedLine

UNPARSED_TOLD_MAX: Final = 20
ERRORS_MAX: Final = 100


def line_result(line: Line, *, formatted: str | None = None) -> ProcessResult:
    """Exact numbers as text: `3/2`."""
    data: dict[str, JsonValue] = {
        "status": line.status,
        "pattern": line.pattern,
        "ingredients": list(line.ingredients),
        "segments": [_segment(part) for part in line.segments],
    }
    return ProcessResult(data=data if formatted is None else {"formatted": formatted, **data}, records_processed=1)


def note_result(
    note_id: str, lines: Sequence[SavedLine], labels: Sequence[Label], patterns: Sequence[tuple[str, int]]
) -> ProcessResult:
    """How many lines of each kind, and what could not be understood."""
    kinds = Counter(one.line.kind for one in lines)
    statuses = Counter(one.status for one in lines)
    not_understood = [one for one in lines if one.status in {"unparsed", "partly"}]
    return ProcessResult(
        data={
            "note_id": note_id,
            "ingredients": kinds["ingredient"],
            "instructions": kinds["instruction"],
            "lines": dict(statuses),
            "not_understood": [one.line.text[:200] for one in not_understood[:UNPARSED_TOLD_MAX]],
            "labels": [asdict(label) for label in labels],
            "patterns": [{"pattern": pattern, "uses": uses} for pattern, uses in patterns],
        },
        records_processed=len(lines),
    )


def how_far(lines: Sequence[SavedLine]) -> tuple[int, str]:
    """→ lines that are done, and in words: `3/12 ingredients`, and when those are, `2/5 instructions`"""
    total = Counter(one.line.kind for one in lines)
    done = Counter(one.line.kind for one in lines if one.status != "waiting")
    kinds = sorted(total)
    kind = next((kind for kind in kinds if done[kind] < total[kind]), kinds[-1])
    return done.total(), f"{done[kind]}/{total[kind]} {kind}s"


def missing(lines: Sequence[SavedLine], code: str, message: str) -> list[RowError]:
    """Lines whose jobs failed; the labels, if it is none of them. Each with what went wrong first."""
    waiting = [one.line for one in lines if one.status == "waiting"]
    errors = [RowError(table=f"{line.kind}s", row=line.position, code=code, message=message) for line in waiting]
    return errors or [RowError(table="labels", code=code, message=message)]


def _segment(part: Segment) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {"kind": part.kind, "rule": part.rule, "start": part.start, "end": part.end}
    told |= {"text": part.text} | ({"name": part.name} if part.name else {})
    if part.quantity is None:
        return told
    told |= {"low": str(part.quantity.low), "high": str(part.quantity.high)}
    if base := part.quantity.in_base:
        told |= {"base": {"low": base[0], "high": base[1], "unit": base[2]}}
    return told
