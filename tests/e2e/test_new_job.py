"""`longshore new job`: what it writes into a clone is green at once, and what it refuses leaves the clone as it was."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli.app import run
from infra.scaffold.job import NAME_CHARACTERS_MAX

ROOT = Path(__file__).parents[2]
CLONED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "handlers",
    "shared",
    "infra",
    "tests",
    "docs",
    "requirements",
    "template.yaml",
    "pyproject.toml",
    "Makefile",
)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As git would make it of what is here, without history."""
    list_it = ["git", "ls-files", "-co", "--exclude-standard", *CLONED]
    listed = subprocess.run(list_it, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(clone: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in clone.rglob("*") if path.is_file() and ".pyc" not in path.name}


def in_clone(clone: Path, *command: str) -> str:
    """pytest closes the folder above its temporary ones to others as it starts: PostgreSQL may be at work in there."""
    environment = os.environ | {"PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTEST_ADDOPTS"] = f"--basetemp={clone}/.pytest"
    run_it = [sys.executable, *([] if command[0] == "-c" else ["-m"]), *command]
    done = subprocess.run(run_it, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments", [["resize_image"], ["zip_text", "--heavy"]], ids=["of the core's libraries", "with its own"]
)
def test_a_new_job_type_passes_every_check_at_once(
    clone: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = arguments[0]
    assert run(["new", "job", *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    files = [path for path in (*told["written"], *told["changed"]) if path.endswith(".py")]
    in_clone(clone, "ruff", "format", "--check", *files)
    in_clone(clone, "ruff", "check", *files)
    shape = "tests/test_shape.py::test_a_job_type_is_a_file_a_payload_and_a_template_entry"
    docs = ["tests/unit/test_template_rules.py", "tests/unit/test_docs.py"]
    in_clone(clone, "pytest", f"tests/handlers/test_{name}.py", shape, *docs)
    assert f"longshore submit {name} text='a few words'" in in_clone(
        clone, "-c", "from infra.cli import main; main()", "types", name
    )
    if "--heavy" in arguments:
        assert f"--extra {name} pyproject.toml -o requirements/{name}/" in (clone / "Makefile").read_text()
        assert f"--extra {name} --group dev" in (clone / "Makefile").read_text()
        assert f"\n{name} = []\n" in (clone / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Resize", "invalid_name"),
        ("../up", "invalid_name"),
        ("resize-image", "invalid_name"),
        ("a__b", "invalid_name"),
        ("class", "name_taken"),
        ("zip", "name_taken"),
        ("job", "name_taken"),
        ("handler", "name_taken"),
        ("", "invalid_name"),
        ("x" * (NAME_CHARACTERS_MAX + 1), "invalid_name"),
        ("test_mail", "name_taken"),
        ("outcome", "name_taken"),
        ("extract", "name_taken"),
        ("cancel_children", "name_taken"),
        ("reactor", "name_taken"),
        ("dead_letter", "name_taken"),
        ("base", "name_taken"),
    ],
)
def test_a_name_that_is_none_or_taken_changes_nothing(
    clone: Path, name: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(clone)
    assert run(["new", "job", name, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == code
    assert everything(clone) == before


def test_what_the_docs_make_of_it_is_green_too(clone: Path) -> None:
    """Every file that docs/writing-a-job.md shows, put where it says."""
    page = (clone / "docs/writing-a-job.md").read_text()
    payload, handler, test = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[:3]
    (shown,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (example,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert run(["new", "job", "count_words", "--json"]) == 0
    files = {
        "shared/payloads/count_words.py": payload,
        "handlers/jobs/count_words.py": handler,
        "tests/handlers/test_count_words.py": test,
    }
    assert all(f"`{path}`" in page for path in files)
    for path, text in files.items():
        (clone / path).write_text(text)
    in_clone(clone, "ruff", "format", "--check", *files)
    in_clone(clone, "ruff", "check", *files)
    in_clone(clone, "mypy", *[path for path in files if not path.startswith("tests")])
    in_clone(clone, "pytest", "tests/handlers/test_count_words.py")
    types, docs = clone / "infra/cli/commands/types.py", clone / "docs/jobs/count_words.md"
    types.write_text(re.sub(r'^    "count_words": .*\n', lambda _: example, types.read_text(), flags=re.MULTILINE))
    tried = ("pytest", "tests/unit/test_docs.py", "-k", "count_words or writing-a-job")
    with pytest.raises(AssertionError, match="is required"):  # its page is still the old one
        in_clone(clone, *tried)
    docs.write_text(re.sub(r"(?<=```json\n).*\n", lambda _: shown, docs.read_text()))
    in_clone(clone, *tried)


def test_the_longest_name_is_formatted_as_all_are(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "job", "x" * NAME_CHARACTERS_MAX, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    in_clone(clone, "ruff", "format", "--check", *[path for path in told["written"] if path.endswith(".py")])


def test_what_is_there_is_not_overwritten(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "docs/jobs/resize.md").write_text("mine")
    before = everything(clone)
    assert run(["new", "job", "resize"]) == 2
    assert "docs/jobs/resize.md" in capsys.readouterr().err
    assert everything(clone) == before
    (clone / "docs/jobs/resize.md").unlink()
    assert run(["new", "job", "resize"]) == 0
    assert run(["new", "job", "resize"]) == 2


def test_what_cannot_be_written_is_named_and_what_was_written_is_taken_back(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(clone / "docs/jobs")
    (clone / "docs/jobs").write_text("a file where a folder was")
    before = everything(clone)
    assert run(["new", "job", "resize"]) == 2
    assert "docs/jobs" in capsys.readouterr().err
    assert everything(clone) == before


def test_a_list_of_another_form_is_named_and_nothing_is_written(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "template.yaml").write_text("Resources: {}\n")
    before = everything(clone)
    assert run(["new", "job", "resize"]) == 2
    assert "template.yaml" in capsys.readouterr().err
    assert everything(clone) == before


def test_elsewhere_than_in_a_clone_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "job", "resize"]) == 2
    assert "not the root of a clone of Longshore" in capsys.readouterr().err
