"""The examples of docs/testing-jobs.md and toolbox.md, run as a newcomer runs them: a file outside of any project."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str, folder: Path) -> tuple[int, str]:
    """How many tests the page has, and what pytest says of them."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    (folder / "test_examples.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-n", "1", "-p", "no:cacheprovider", "."]
    command += ["--basetemp=.pytest"]  # the common one would be closed to others: PostgreSQL may be at work in there
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return "\n".join(blocks).count("\ndef test_"), done.stdout + done.stderr


def test_the_examples_pass_as_they_stand_and_their_crash_points_are_counted(tmp_path: Path) -> None:
    written, said = examples("testing-jobs.md", tmp_path)
    assert re.search(rf"^{written} passed", said, re.MULTILINE), said
    assert re.search(r"^\d+ crash points tried, in 2 scenarios$", said, re.MULTILINE), said


def test_the_toolbox_holds_what_it_says(tmp_path: Path) -> None:
    written, said = examples("toolbox.md", tmp_path)
    assert written
    assert re.search(rf"^{written} passed", said, re.MULTILINE), said


def test_a_project_that_only_has_longshore_installed_pays_nothing_for_the_plugin() -> None:
    code = "import pytest, sys; old = {*sys.modules}; import infra.testing.plugin; print(*({*sys.modules} - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {"infra", "infra.testing", "infra.testing.plugin"}
