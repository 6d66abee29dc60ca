"""What may be read by whoever reads the logs."""

import json

import pytest

from shared.errors import WorldFault
from shared.runtime.logs import configure_logs, get_logger, redacted

URL = "postgresql://me:s3cret@host/db"


def test_foreign_words_are_logged_without_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO")
    fault = WorldFault("unreachable", f"no answer from {URL}")
    get_logger().warning("world_fault", reason=str(fault))
    try:
        raise fault
    except WorldFault:
        get_logger().exception("worker_bug")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["world_fault", "worker_bug"]
    assert "WorldFault" in lines[1]["exception"]
    assert "s3cret" not in json.dumps(lines)


@pytest.mark.parametrize("text", [URL, f"at {URL}!", "password=s3cret", "Password = s3cret host=x", "a+b://u:s3cret@h"])
def test_a_password_is_not_repeated(text: str) -> None:
    assert "s3cret" not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize("text", ["a" * 2_000_000, "a+" * 1_000_000, "://" * 700_000, "password " * 200_000])
def test_a_text_of_megabytes_is_read_in_one_go(text: str) -> None:
    assert redacted(text) == text
