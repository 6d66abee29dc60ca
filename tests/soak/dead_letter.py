"""The dead-letter handler itself, in a container that may be asked to hurry."""

from handlers.dead_letter import handler
from tests.soak import brisk

__all__ = ["handler"]

brisk.apply_if_asked()
