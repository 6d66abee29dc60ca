"""One item is made ahead, and only one."""

import sys
import threading
from collections.abc import Iterator

import pytest

from shared.databases.ahead import ahead


def test_the_next_item_is_made_while_this_one_is_used_and_no_more() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(1, 6):
            made.append(number)
            if number == 2:
                second.set()
            yield number

    with ahead(items(), lambda: None) as found:
        assert next(found) == 1
        assert second.wait(30)
        assert made == [1, 2]
        assert list(found) == [2, 3, 4, 5]


def test_what_fails_ahead_fails_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    used: list[int] = []
    with ahead(items(), lambda: None) as found, pytest.raises(ValueError, match="the second"):
        used.extend(found)
    with ahead(items(), lambda: None) as found:
        used.append(next(found))
    assert used == [1, 1]


def test_nobody_waits_for_an_item_that_is_not_wanted() -> None:
    """Otherwise this test never ends."""
    wanted = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        wanted.wait()

    with ahead(items(), wanted.set) as found:
        assert next(found) == 1
    assert sys.getswitchinterval() == pytest.approx(0.005), "the whole process is left as it was"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
