"""Event filters as Lambda's documentation has them, and our own template's against what the code needs."""

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from infra.local.filters import passes, read_patterns
from infra.local.intrinsics import Place
from infra.local.specs import StreamSource, functions
from infra.local.template import read_template
from shared.aws.expressions import item_of
from shared.consequences import Act, consequences
from shared.errors import InvalidInput
from shared.job import Job, history_entry
from shared.status import Event, Status
from shared.throttle import Concurrency, Rate, throttles_text
from tests.unit.test_audit import job

RECORD = {
    "eventID": "1",
    "dynamodb": {
        "Keys": {"CustomerName": {"S": "AnyCompany Industries"}},
        "NewImage": {
            "AccountManager": {"S": "Pat Candella"},
            "PaymentTerms": {"S": "60 days"},
            "Nothing": {"NULL": True},
            "Flag": {"BOOL": False},
        },
    },
}
"""The documentation's own: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html"""


def matches(pattern: dict[str, Any]) -> bool:
    return passes(RECORD, read_patterns([{"Pattern": json.dumps({"dynamodb": pattern})}], "F"))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"PaymentTerms": {"S": ["60 days"]}}, True),
        ({"PaymentTerms": {"S": ["30 days", "60 days"]}}, True),
        ({"PaymentTerms": {"S": ["30 days"]}}, False),
        ({"PaymentTerms": {"S": ["60 days"]}, "AccountManager": {"S": ["Pat Candella"]}}, True),
        ({"PaymentTerms": {"S": ["60 days"]}, "AccountManager": {"S": ["Mary Major"]}}, False),
        ({"PaymentTerms": {"S": [{"prefix": "60"}]}}, True),
        ({"PaymentTerms": {"S": [{"suffix": "days"}]}}, True),
        ({"PaymentTerms": {"S": [{"prefix": "days"}]}}, False),
        ({"PaymentTerms": {"S": [{"anything-but": ["30 days"]}]}}, True),
        ({"PaymentTerms": {"S": [{"anything-but": ["60 days"]}]}}, False),
        ({"Absent": {"S": [{"anything-but": ["60 days"]}]}}, False),
        ({"PaymentTerms": {"S": [{"exists": True}]}}, True),
        ({"PaymentTerms": {"S": [{"exists": False}]}}, False),
        ({"Absent": {"S": [{"exists": False}]}}, True),
        ({"PaymentTerms": [{"exists": True}]}, False),
        ({"Flag": {"BOOL": [False]}}, True),
        ({"Flag": {"BOOL": [0]}}, False),
        ({"Absent": {"S": ["x"]}}, False),
    ],
)
def test_a_record_passes_as_the_documentation_says(image: dict[str, Any], expected: bool) -> None:
    assert matches({"NewImage": image}) is expected


def test_one_pattern_of_several_is_enough_and_none_lets_everything_through() -> None:
    texts = [
        json.dumps({"dynamodb": {"Keys": {"CustomerName": {"S": [name]}}}}) for name in ("x", "AnyCompany Industries")
    ]
    assert passes(RECORD, read_patterns([{"Pattern": text} for text in texts], "F"))
    assert not passes(RECORD, read_patterns([{"Pattern": texts[0]}], "F"))
    assert passes(RECORD, ())


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "F[0].Pattern"),
        ('{"eventName": ["INSERT"]}', "F[0].Pattern"),
        ('{"dynamodb": {"a": [{"cidr": "10.0.0.0/8"}]}}', "F[0].Pattern.dynamodb.a"),
        ('{"dynamodb": {"a": "b"}}', "F[0].Pattern.dynamodb.a"),
    ],
)
def test_a_pattern_without_a_local_twin_is_refused_by_its_path(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_patterns([{"Pattern": text}], "F")
    assert refusal.value.field == field


# --- our own filters, against what the code does with a record ---

THROTTLES = [
    throttles_text(throttles, "t", {}) for throttles in ((Concurrency(1, by="tenant"),), (Rate(1, 1, by="tenant"),))
]

MORE: list[dict[str, str | None]] = [
    {},
    {"parent": "job_p 0 0 1 - step"},
    {"groups": "0 step 1 0 1 0"},
    {"type": "fine_tuning", "checkpoint": f"sagemaker/{'0' * 32}"},
    *({"throttles": text} for text in THROTTLES),
]

ROWS: list[Job | None] = [
    None,
    *(
        job(status, seq=seq, lease_until=1, history=(history_entry(1, event, "who"),), **more)
        for status, seq, event, more in itertools.product(
            Status,
            (1, 2),
            (Event.SUBMIT, Event.START, Event.CLAIM_BARE),
            MORE,
        )
    ),
]
CHANGES = [(old, new) for old, new in itertools.product(ROWS, ROWS) if old is not None or new is not None]


def source_of(name: str) -> StreamSource:
    template = read_template(Path("template.yaml").read_text(encoding="utf-8"), Place("s"))
    (spec,) = (spec for spec in functions(template) if spec.name == f"s-{name}")
    (source,) = spec.sources
    assert isinstance(source, StreamSource)
    return source


def raw(old: Job | None, new: Job | None) -> dict[str, Any]:
    images = {name: item_of(row) for name, row in (("OldImage", old), ("NewImage", new)) if row is not None}
    return {"dynamodb": {"SequenceNumber": "1"} | images}


def test_every_record_that_something_follows_from_reaches_the_reactor() -> None:
    patterns = source_of("reactor").filters
    assert len(patterns) <= 5, (
        "Lambda takes no more: docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html"
    )
    needed = [(old, new) for old, new in CHANGES if consequences(old, new)]
    assert {type(act) for old, new in needed for act in consequences(old, new)} == {*get_args(Act)}, (
        "each kind is tried"
    )
    assert all(passes(raw(old, new), patterns) for old, new in needed)
    assert not passes(raw(job(Status.QUEUED), job(Status.RUNNING)), patterns), "a claim wakes nobody"
    assert not passes(raw(job(Status.RUNNING), job(Status.SUCCESS)), patterns), "nor does a settlement"
    only_rated = {"throttles": THROTTLES[1]}
    settled = raw(job(Status.RUNNING, **only_rated), job(Status.SUCCESS, **only_rated))
    assert not passes(settled, patterns), "nor does one of a job that has a rate, and no place"
