"""How Lambda reads what a function answers to a batch."""

from typing import Any

import pytest

from infra.local.events import InvocationFailed, failed_items
from infra.local.scheduler import due_at

IDS = ["a", "b"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}, {"other": 1}])
def test_an_empty_answer_means_that_all_have_succeeded(answer: Any) -> None:
    assert failed_items(answer, IDS) == set()


def test_named_items_have_failed() -> None:
    assert failed_items({"batchItemFailures": [{"itemIdentifier": "b"}]}, IDS) == {"b"}


@pytest.mark.parametrize(
    "answer",
    [
        "fine",
        ["a"],
        {"batchItemFailures": "a"},
        {"batchItemFailures": {"itemIdentifier": "a"}},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": ["a"]}]},
        {"batchItemFailures": [{"id": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "elsewhere"}]},
        {"batchItemFailures": 7},
    ],
)
def test_an_answer_that_cannot_be_read_means_that_the_whole_batch_has_failed(answer: Any) -> None:
    with pytest.raises(InvocationFailed):
        failed_items(answer, IDS)


@pytest.mark.parametrize(
    ("expression", "timezone", "milliseconds"),
    [
        ("at(2026-01-02T03:04:05)", None, 1767323045000),
        ("at(2026-01-02T03:04:05)", "UTC", 1767323045000),
        ("at(2026-07-02T03:04:05)", "Europe/Berlin", 1782954245000),
    ],
)
def test_a_schedule_is_due_in_its_own_time_zone(expression: str, timezone: str | None, milliseconds: int) -> None:
    assert due_at(expression, timezone) == milliseconds


@pytest.mark.parametrize(
    ("expression", "timezone"),
    [
        ("at(2026-02-30T00:00:00)", None),
        ("at(2026-01-01T24:00:00)", None),
        ("at(2026-01-01T00:00)", None),
        ("at(2026-01-01T00:00:00.000)", None),
        ("rate(1 minute)", None),
        ("at(2026-01-01T00:00:00)", "Mars/Olympus"),
    ],
)
def test_an_expression_that_is_no_time_is_refused(expression: str, timezone: str | None) -> None:
    with pytest.raises(ValueError, match="Invalid Schedule Expression"):
        due_at(expression, timezone)
