"""The next of some items is made while this one is used."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

SWITCH_S: Final = 0.0005
"""Python's own 5 ms, at each answer of a database, are as long as what the thread ahead is to save."""


@contextmanager
def ahead(items: Iterator[T], break_off: Callable[[], None]) -> Iterator[Iterator[T]]:
    """The same items, made in a thread that is one ahead. What is raised there is raised in the item's place.

    Worth it where whoever uses an item waits for somebody else. At the end of the block, `break_off` must end a wait
    for an item that nobody wants any more.
    """
    with _switching_often(), ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming: Future[T | None] = thread.submit(next, items, None)

        def each() -> Iterator[T]:
            nonlocal coming
            while (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)
                yield item

        try:
            yield each()
        finally:
            if not coming.done():
                break_off()


@contextmanager
def _switching_often() -> Iterator[None]:
    """In the whole process, so no longer than it is good for."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(min(usual_s, SWITCH_S))
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)
