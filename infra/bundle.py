"""A function's bundle: what its zip holds, and nothing else.

Rules of this file:
1. template.yaml says what a function is: Handler, Runtime, Architectures; its CodeUri is the folder of its
   requirements.txt.
2. A bundle holds the handler's own module, `shared/` without the folders its dependencies can't serve, and the pinned
   wheels for Lambda's platform. No Docker, no credentials, no compiler.
3. Bytecode is shipped, made by the runtime's own Python: without it a cold start takes two and a half times as long.
   It is valid whatever the files' times are, since unzipping changes them.
4. What is installed for one list of requirements is kept in `build/libraries/`, trimmed and compiled, for all bundles.
5. A bundle over Lambda's limit is refused: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

`python -m infra.bundle` builds all and prints their sizes; `python -m infra.bundle FUNCTION FOLDER` builds one, as
`sam build` asks for it through the Makefile.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.intrinsics import Place
from infra.local.template import read_template
from shared.errors import InvalidInput

SIZE_BYTES_MAX: Final = 250_000_000

_ROOT: Final = Path(__file__).resolve().parents[1]
_ALL_BUNDLES: Final = _ROOT / "build" / "bundles"

_LIBRARIES: Final = _ROOT / "build" / "libraries"

_PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
"""Architecture → wheels that run on it. Amazon Linux 2023, under every runtime from python3.12 on, has glibc 2.34."""

_SHARED_OF_SOME: Final = {"databases", "issues", "media", "reports", "training", "recipes"}
"""Folders of `shared/` that only the requirements of the same name can serve."""

_ALSO: Final = {"recipes": {"databases"}, "reports": {"databases"}}
"""Requirements that serve the folders of others too."""

_FILES: Final = {"handlers.api.handler": (Path("infra/dashboard"),)}
"""Handler → folders that it serves as they are."""

_SERVICES: Final = (
    "apigatewaymanagementapi",
    "bedrock",
    "bedrock-runtime",
    "dynamodb",
    "s3",
    "sagemaker",
    "scheduler",
    "secretsmanager",
    "sesv2",
    "sqs",
    "sts",
)
"""botocore's service models that any function calls; the other 400 are 25 MB."""


@dataclass(frozen=True, slots=True)
class Function:
    """What the template says about one function. `python` is a version such as `3.13`."""

    logical_id: str
    handler: str
    python: str
    architecture: str
    requirements: Path


def functions() -> dict[str, Function]:
    """The functions of template.yaml by logical id."""
    template = read_template((_ROOT / "template.yaml").read_text(), Place())
    return {
        resource.logical_id: Function(
            logical_id=resource.logical_id,
            handler=resource.properties["Handler"],
            python=resource.properties["Runtime"].removeprefix("python"),
            architecture=resource.properties["Architectures"][0],
            requirements=_ROOT / resource.properties["CodeUri"] / "requirements.txt",
        )
        for resource in template.of_type("AWS::Serverless::Function")
    }


def build(function: Function, folder: Path) -> int:
    """Fill `folder`, which is emptied first, with the function's bundle → its size in bytes.

    Raises InvalidInput when it is too large, CalledProcessError when a dependency can't be installed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_libraries(function), folder)
    _copy_own_code(function, folder)
    for ours in ("handlers", "shared"):
        _compile(function.python, folder / ours, folder)
    return size_bytes(folder)


def size_bytes(folder: Path, *, at_most: int = SIZE_BYTES_MAX) -> int:
    """What the folder's files hold, in bytes. Raises InvalidInput when it is more than Lambda unzips."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > at_most:
        raise InvalidInput("bundle_too_large", f"{size:,} bytes, at most {at_most:,}", field=str(folder))
    return size


def interpreter(version: str) -> Path | None:
    """A Python of that version on this machine, if there is one. pyenv's shims exist for versions that don't answer."""
    name = f"python{version}"
    on_path = (Path(folder, name) for folder in os.get_exec_path())
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}")
    candidates = [Path(sys.executable), *on_path, *of_pyenv]
    return next((path for path in candidates if path.exists() and _answers(path, version)), None)


def _answers(python: Path, version: str) -> bool:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-I", "-S", "-c", ask], capture_output=True, text=True, check=False)
    return asked.stdout.strip() == version


def _libraries(function: Function) -> Path:
    """The folder of what the function needs. It appears whole, so that builds at the same time do no harm."""
    said = function.requirements.read_bytes() + f"{function.python} {function.architecture} {_SERVICES}".encode()
    kept = _LIBRARIES / hashlib.sha256(said).hexdigest()[:16]
    if not kept.exists():
        _LIBRARIES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_LIBRARIES) as made:
            folder = Path(made, "made")
            _install(function, folder)
            _trim(folder)
            _compile(function.python, folder, folder)
            with suppress(OSError):  # another build was first
                folder.rename(kept)
    return kept


def _install(function: Function, folder: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", function.python]
    command += ["--python-platform", _PLATFORMS[function.architecture]]
    subprocess.run([*command, "--target", folder, "--requirement", function.requirements], check=True)


def _trim(folder: Path) -> None:
    shutil.rmtree(folder / "bin", ignore_errors=True)  # console scripts, which nobody calls
    for path in (folder / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in _SERVICES:
            shutil.rmtree(path)


def _copy_own_code(function: Function, folder: Path) -> None:
    name = function.requirements.parent.name
    others = _SHARED_OF_SOME - {name} - _ALSO.get(name, set())
    left_out = shutil.ignore_patterns("__pycache__", "memory", *others)
    shutil.copytree(_ROOT / "shared", folder / "shared", ignore=left_out)
    module = Path(*function.handler.split(".")[:-1]).with_suffix(".py")
    for path in [module, *(package / "__init__.py" for package in module.parents[:-1])]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_ROOT / path, folder / path)
    for served in _FILES.get(function.handler, ()):
        shutil.copytree(_ROOT / served, folder / served)


def _compile(version: str, folder: Path, bundle: Path) -> None:
    python = interpreter(version)
    if python is None:
        print(f"WARNING: no python{version} here: the bundle lacks bytecode and will start slowly", file=sys.stderr)
        return
    options = ["-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, *options, "-s", bundle, "-p", "/var/task", folder], check=True)


def main() -> None:
    known = functions()
    match sys.argv[1:]:
        case []:
            folders = {name: _ALL_BUNDLES / name for name in known}
        case [name, folder] if name in known:
            folders = {name: Path(folder)}
        case _:
            raise SystemExit(f"usage: python -m infra.bundle [FUNCTION FOLDER], a function of {', '.join(known)}")
    for name, target in folders.items():
        print(f"{name:24} {build(known[name], target) / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
