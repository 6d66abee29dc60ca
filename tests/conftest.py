"""What the command line offers."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--endpoint",
        metavar="URL",
        help="run the contract suite's AWS side against this endpoint (or `aws` itself) instead of the embedded one",
    )
