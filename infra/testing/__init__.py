"""The test kit for authors of jobs: the fixture `longshore` (`kit.Longshore`), from the pytest plugin.

from infra.testing import Drained, Longshore, Producer, die
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.testing.crash import Producer
    from infra.testing.faults import die
    from infra.testing.kit import Drained, Longshore

__all__ = ["Drained", "Longshore", "Producer", "die"]


def __getattr__(name: str) -> object:
    """Nothing is imported before it is asked for: pytest loads the plugin in every project it is installed in."""
    import importlib

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"Producer": "crash", "die": "faults"}.get(name, "kit")
    return getattr(importlib.import_module(f"infra.testing.{module}"), name)
