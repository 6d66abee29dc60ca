"""Style as a test: what a reader may rely on in every file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.payloads import TYPES

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("handlers", "shared", "infra") for path in (ROOT / folder).rglob("*.py"))
PURE = sorted([*(ROOT / "shared").glob("*.py"), *(ROOT / "shared/payloads").glob("*.py")])
PROSE = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "template.yaml")]
PROSE += sorted((ROOT / "docs").rglob("*.md"))

LINES_MAX = 300
FUNCTION_LINES_MAX = 40
IMPURE = {"asyncio", "datetime", "os", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
PURE_MAY = {
    ("shared/operations.py", "asyncio"),
    ("shared/job.py", "datetime"),
    ("shared/schedule_times.py", "datetime"),
}
"""Operations are run, not decided; a job's times are written as RFC 3339, a schedule's are a calendar's: no clock is
read."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX
    long = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions(path)}
    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    assert not path.read_text().strip() or ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_files_directly_in_shared_are_pure(path: Path) -> None:
    found = {module for module in imported(path) & IMPURE if (name_of(path), module) not in PURE_MAY}
    assert found == set()
    awaits = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Await)]
    assert awaits == [] or path.name == "operations.py"


def test_a_job_type_is_a_file_a_payload_and_a_template_entry() -> None:
    handlers = {path.stem for path in (ROOT / "handlers/jobs").glob("*.py")} - {"__init__"}
    payloads = {path.stem for path in (ROOT / "shared/payloads").glob("*.py")} - {"__init__", "base", "results"}
    assert handlers == payloads == set(TYPES)
    template = (ROOT / "template.yaml").read_text()
    assert set(re.findall(r"^      Name: ([a-z_]+)$", template, re.MULTILINE)) == set(TYPES)


NOT_CORE = (
    "handlers/jobs/",
    "shared/payloads/",
    "shared/databases/",
    "shared/issues/",
    "shared/mail/",
    "shared/operations.py",
    "shared/runtime/operations.py",
    "shared/media/",
    "shared/reports/",
    "shared/recipes/",
    "shared/reports/",
    "shared/training/",
    "shared/remote_training.py",
    "shared/aws/training.py",
    "shared/memory/training.py",
    "shared/net/",
    "shared/parquet/",
    "infra/demo/",
    "infra/scaffold/",
    "infra/testing/",
    "infra/dashboard/",
)
"""Job types, what they alone need, and what nobody needs to read to understand the rest."""

FRONT_DOOR = (
    "shared/runtime/api/",
    "shared/runtime/watchers.py",
    "shared/watching.py",
    "handlers/api.py",
)

NUMBERS = ("shared/stats.py", "shared/cost.py", "shared/runtime/stats.py", "shared/runtime/api/numbers.py")


def part(*names: str) -> tuple[str, ...]:
    """Its pure files, its shell and its routes."""
    folders = ("shared/", "shared/runtime/", "shared/runtime/api/", "handlers/", "infra/cli/commands/")
    return tuple(folder + name for folder in folders for name in names)


FLOWS = part("flow", "fan_in", "children", "pruning", "references")

SCHEDULES = part("schedule")

WEBHOOKS = part("webhook")

ESTIMATES = part("estimate")

CANARIES = part("canary")

APPLICATIONS = ("shared/runtime/execute.py", "shared/runtime/transactions.py")

LIMITS = part("throttle", "parking", "pause", "resume")

TWINS = ("shared/memory/",)
"""The ports in memory, which the contract suite holds to what AWS does: tests read them, the system does not."""

BUILDING = ("infra/bundle.py", "infra/diagram.py")

PARTS = {
    "what moves jobs": (
        ("handlers/", "shared/"),
        (
            *(*NOT_CORE, *FRONT_DOOR, *NUMBERS, *WEBHOOKS, *FLOWS, *SCHEDULES, *LIMITS),
            *(*ESTIMATES, *CANARIES, *APPLICATIONS, *TWINS),
        ),
        5_100,
    ),
    "its twins in memory": (TWINS, (), 500),
    "numbers": (NUMBERS, (), 500),
    "webhooks": (WEBHOOKS, (), 520),
    "flows": (FLOWS, (), 1_300),
    "estimates": (ESTIMATES, (), 200),
    "canary redrives": (CANARIES, (), 300),
    "schedules": (SCHEDULES, (), 700),
    "limits": (LIMITS, (), 720),
    "what applications embed": (APPLICATIONS, (), 200),
    "the front door": (FRONT_DOOR, (*NUMBERS, *WEBHOOKS, *FLOWS, *SCHEDULES, *LIMITS, *ESTIMATES), 1_600),
    "the local cloud": (("infra/local/",), (), 2_700),
    "bundles and diagrams": (BUILDING, (), 200),
    "the command line": (
        ("infra/",),
        ("infra/local/", *NOT_CORE, *FLOWS, *SCHEDULES, *WEBHOOKS, *LIMITS, *ESTIMATES, *BUILDING),
        2_650,
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_can_be_read_in_an_afternoon(part: str) -> None:
    folders, skipped, lines_max = PARTS[part]
    files = [path for path in CODE if name_of(path).startswith(folders) and not name_of(path).startswith(skipped)]
    lines = {name_of(path): lines_of_code(path) for path in files}
    assert sum(lines.values()) <= lines_max, f"{sum(lines.values())} lines of code: {lines}"


def lines_of_code(path: Path) -> int:
    """Lines that hold more than a comment, a docstring or nothing."""
    text = path.read_text()
    prose = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and not line.strip().startswith("#") and number not in prose)


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_nothing_is_left_to_do_and_nothing_is_swallowed(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not all(isinstance(part, ast.Pass) for part in node.body), f"line {node.lineno}: swallowed"


@pytest.mark.parametrize("path", PROSE, ids=name_of)
def test_docs_speak_of_the_product_alone(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"/work/|/root/|\bsession's\b|\bhelper-\d|\bissue \d", text)
