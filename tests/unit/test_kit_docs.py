"""The examples of docs/testing-jobs.md, run as a newcomer runs them: a file of their own, outside of any project."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_examples_pass_as_they_stand_and_their_crash_points_are_counted(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "testing-jobs.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "test_examples.py").write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-n", "1", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    written = "\n".join(blocks).count("\ndef test_")
    assert re.search(rf"^{written} passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
    assert re.search(r"^\d+ crash points tried, in 2 scenarios$", done.stdout, re.MULTILINE), done.stdout


def test_a_project_that_only_has_longshore_installed_pays_nothing_for_the_plugin() -> None:
    code = "import pytest, sys; old = {*sys.modules}; import infra.testing.plugin; print(*({*sys.modules} - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) == {"infra", "infra.testing", "infra.testing.plugin"}
