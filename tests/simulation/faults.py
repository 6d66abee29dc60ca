"""The test kit's faults, for worlds with a weather of their own."""

from infra.testing.faults import Calls, faulty

__all__ = ["Calls", "faulty"]
