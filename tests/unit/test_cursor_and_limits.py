"""What comes from outside is not trusted, and what AWS would refuse is refused before it is asked."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cursor import read_cursor, write_cursor
from shared.errors import InvalidInput
from shared.limits import check_number, check_size
from shared.names import Names

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", fullmatch=True)
PLACES = st.dictionaries(st.text(), st.tuples(st.integers(0, 10**15), NAMES.map(lambda job_id: f"acme#{job_id}")))


@given(PLACES)
def test_a_cursor_is_read_back_by_its_own_tenant_alone(places: dict[str, tuple[int, str]]) -> None:
    cursor = write_cursor(places)
    assert read_cursor(cursor, "acme") == places
    if places:
        with pytest.raises(InvalidInput):
            read_cursor(cursor, "acm")


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
def test_no_text_whatever_breaks_the_reader_of_cursors(text: str) -> None:
    with suppress(InvalidInput):
        assert all(key.startswith("acme#") for _, key in read_cursor(text, "acme").values())


@pytest.mark.parametrize(
    "forged",
    [
        [],
        1,
        None,
        "x",
        {"": 1},
        {"": [1]},
        {"": ["1", "acme#x"]},
        {"": [1, "acme#x", 2]},
        {"": [1, "evil#x"]},
        {"": [1, "acme#"]},
        {"": [1, "acme#" + "x" * 2_048]},
        {"": [1, "acme#\ud800"]},
        {"": [1, "acme#x#evil#y"]},
        {"": [True, "acme#x"]},
        {"": [-1, "acme#x"]},
        {"": [10**40, "acme#x"]},
        {"": [1, None]},
    ],
    ids=json.dumps,
)
def test_a_forged_cursor_is_refused_by_its_field(forged: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode()
    with pytest.raises(InvalidInput) as refusal:
        read_cursor(cursor, "acme")
    assert refusal.value.field == "cursor"


@pytest.mark.parametrize("value", [1, 5, 10])
def test_a_number_within_its_bounds_passes(value: int) -> None:
    check_number("limit", value, 1, 10)


@pytest.mark.parametrize("value", [0, 11])
def test_a_number_beyond_its_bounds_is_told_what_they_are(value: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 10"):
        check_number("limit", value, 1, 10)


def test_sizes_are_of_bytes_not_of_letters() -> None:
    assert check_size("body", "é" * 5, 10) == 10
    with pytest.raises(InvalidInput, match="11 bytes, 10"):
        check_size("body", "é" * 5 + "x", 10)


def test_a_queues_arn_is_of_the_account_and_partition_of_the_role_that_sends_to_it() -> None:
    names = Names(stack="prod", bucket="b", schedule_role_arn="arn:aws-cn:iam::111122223333:role/path/prod-scheduler")
    assert names.queue_arn("backup", "cn-north-1") == "arn:aws-cn:sqs:cn-north-1:111122223333:prod-backup"
    assert (names.jobs_table, names.side_table, names.secret("acme/db")) == ("prod-jobs", "prod-side", "prod/acme/db")
