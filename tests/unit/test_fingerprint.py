"""What is the same failure, and what is another."""

import pytest

from shared.errors import MESSAGE_BYTES_MAX
from shared.fingerprint import fingerprint
from shared.verdict import shortened


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("still running after 60 s", "still running after 300 s"),
        ("no job job_0199f0c2a1b8", "no job job_0199f0c2a1b9"),
        ("column 'price' is missing", "column 'name' is missing"),
        ('relation "a b" is gone', 'relation "c" is gone'),
        ("GET https://a.example/x: 503", "GET http://b.example/y?z: 502"),
        ("lost 10.0.0.1:5432 at 2026-01-31T12:00:00.000Z", "lost 10.0.0.2:5433 at 2026-02-01T12:00:00.123Z"),
        ("id 550e8400-e29b-41d4-a716-446655440000 twice", "id 123e4567-e89b-12d3-a456-426614174000 twice"),
        ("Connection refused", "connection refused"),
    ],
)
def test_what_differs_by_job_makes_no_difference(one: str, other: str) -> None:
    assert fingerprint("code", one) == fingerprint("code", other)


def test_another_code_or_another_message_is_another_failure() -> None:
    prints = {fingerprint("a", "disk full"), fingerprint("b", "disk full"), fingerprint("a", "disk gone")}
    assert len(prints) == 3
    assert all(one[1:2] == "-" and len(one) == 10 for one in prints)


def test_a_message_that_the_row_cut_short_is_the_same_failure_wherever_it_was_cut() -> None:
    long = "the server closed the connection unexpectedly while it was reading a row of the table; the value was "
    cut = {fingerprint("code", shortened(long + "word " * length, MESSAGE_BYTES_MAX)) for length in (1, 30, 300)}
    assert len(cut) == 1
