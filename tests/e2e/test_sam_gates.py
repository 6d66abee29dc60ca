"""What AWS's own tools say of the template, and what `sam build` would send to Lambda.

The SAM CLI lives in its own environment (`make test` makes it): it pins libraries that the product pins otherwise.
"""

import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from botocore.session import get_session

from infra import bundle
from infra.bundle import SIZE_BYTES_MAX, functions, interpreter
from shared.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
FUNCTIONS = functions()
PYTHON = interpreter(next(iter(FUNCTIONS.values())).python)

ELF_MACHINES = {"x86_64": 62, "arm64": 183}
"""e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""

pytestmark = pytest.mark.sam
each_function = pytest.mark.parametrize("name", sorted(FUNCTIONS))
needs_runtime = pytest.mark.skipif(PYTHON is None, reason="Lambda's Python version is not on this machine")


def run(*command: str | Path) -> str:
    """No credentials, no region but this one, and no word to anyone about it."""
    quiet = {"AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "SAM_CLI_CHECK_AWS_CREDENTIALS": "0"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MAKE"))}
    done = subprocess.run(
        command, cwd=ROOT, env=environment | quiet, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sam")
    run(SAM, "build", "--build-dir", folder)
    yield folder
    shutil.rmtree(folder)  # 400 MB that pytest would keep for three runs


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "bundle"
    shutil.rmtree(tmp_path / "bundle", ignore_errors=True)


def files(folder: Path, suffix: str) -> Iterator[Path]:
    return folder.rglob(f"*{suffix}")


def test_cfn_lint_has_nothing_to_say() -> None:
    assert run(Path(sys.executable).parent / "cfn-lint", "template.yaml") == ""


def test_sam_finds_the_template_valid() -> None:
    assert "is a valid SAM Template" in run(SAM, "validate")


def test_every_turn_of_the_loop_ships_its_own_bundle(built: Path) -> None:
    """A CodeUri that does not name the loop's variable would give every job type the first one's bundle."""
    template = yaml.safe_load((built / "template.yaml").read_text())
    shipped = {turn: entry["CodeUri"] for turn, entry in template["Mappings"]["SAMCodeUriJobTypes"].items()}
    assert shipped == {turn: f"{turn}Function" for turn in template["Mappings"]["JobTypes"]}
    assert template["Resources"]["ReactorFunction"]["Properties"]["CodeUri"] == "ReactorFunction"


@each_function
def test_a_bundle_fits_into_lambda(name: str, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size_bytes = bundle.size_bytes(built / name)
    with capsys.disabled():
        print(f"\n{name}: {size_bytes / 1e6:.1f} MB unzipped")
    assert size_bytes < SIZE_BYTES_MAX


def test_a_bundle_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(InvalidInput, match="11 bytes"):
        bundle.size_bytes(tmp_path, at_most=10)


@each_function
def test_a_bundle_is_made_for_lambdas_processor(name: str, built: Path) -> None:
    machines = {struct.unpack_from("<H", path.read_bytes(), 18)[0] for path in files(built / name, ".so")}
    assert machines == {ELF_MACHINES[FUNCTIONS[name].architecture]}


@needs_runtime
@each_function
def test_a_bundle_ships_bytecode_that_outlives_unzipping(name: str, built: Path) -> None:
    ask = [str(PYTHON), "-I", "-S", "-c", "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"]
    magic = bytes.fromhex(run(*ask))
    headers = {path.read_bytes()[:8] for path in files(built / name, ".pyc")}
    assert headers == {magic + b"\1\0\0\0"}, "a hash that is never checked, of the runtime's own Python"
    compiled = {path.parent.parent / f"{path.name.split('.')[0]}.py" for path in files(built / name, ".pyc")}
    assert compiled == set(files(built / name, ".py"))


@each_function
def test_a_bundle_carries_no_more_of_us_than_its_handler_and_what_that_may_use(name: str, built: Path) -> None:
    handlers = {path.relative_to(built / name).as_posix() for path in files(built / name / "handlers", ".py")}
    own = FUNCTIONS[name].handler.removesuffix(".handler").replace(".", "/") + ".py"
    assert {path for path in handlers if not path.endswith("__init__.py")} == {own}
    present = {path.name for path in (built / name / "shared").iterdir()}
    assert "memory" not in present
    of_some = {"databases", "issues", "media", "recipes", "reports", "training"}
    folder = FUNCTIONS[name].requirements.parent.name
    serves = {folder, "databases"} if folder in {"recipes", "reports"} else {folder}
    assert present & of_some == serves & of_some
    assert not {"tests", "boto3", "moto", "uv"} & {path.name for path in (built / name).iterdir()}
    assert {path.name for path in (built / name).glob("infra/*")} <= {"dashboard"}
    assert not any(files(built / name / "infra", ".py"))


@each_function
def test_a_bundle_knows_every_service_that_the_adapters_call(name: str, built: Path) -> None:
    adapters = "".join(path.read_text() for path in (ROOT / "shared" / "aws").glob("*.py"))
    called = set(re.findall(r'\b(?:call|get)\(\s*"([a-z0-9]+)"', adapters))
    called &= set(get_session().get_available_services())
    assert "dynamodb" in called
    assert called <= {path.name for path in (built / name / "botocore" / "data").iterdir()}


@needs_runtime
@each_function
def test_a_bundle_starts_with_nothing_else_on_the_path(name: str, empty: Path) -> None:
    """The same bundle for this machine's processor, in the runtime's Python without site-packages."""
    function = FUNCTIONS[name]
    bundle.build(replace(function, architecture=host_architecture()), empty)
    module = function.handler.removesuffix(".handler")
    program = f"""
import sys
sys.path.insert(0, {str(empty)!r})
sys.dont_write_bytecode = True
from {module} import handler
assert callable(handler)
home = ({str(empty)!r}, sys.base_prefix)
strangers = [m.__file__ for m in sys.modules.values() if not (getattr(m, "__file__", None) or home[0]).startswith(home)]
assert not strangers, strangers
print("started")
"""
    variables = {"AWS_DEFAULT_REGION": "us-east-1", "LONGSHORE_STACK": "longshore", "LONGSHORE_BUCKET": "bucket"}
    started = subprocess.run(
        [str(PYTHON), "-S", "-c", program], env=variables, cwd=empty, capture_output=True, text=True, check=False
    )
    assert started.stdout == "started\n", started.stderr


def host_architecture() -> str:
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
