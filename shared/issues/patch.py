"""What a model may change, and what becomes of it. Pure: the model's answer and the tree in, files out.

- A path is one of the repository's own: relative, plain, below no link, submodule or file, and never in `.git`.
- What runs with the repository's rights (workflows, other CI, code owners) stays as it is unless it is allowed.
- An edit's text stands in the file exactly once: what does not fit is told, never guessed.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.errors import Transient
from shared.issues.shapes import Entry

EDITS_MAX: Final = 50
FILES_MAX: Final = 20
FILE_BYTES_MAX: Final = 200_000
TOTAL_BYTES_MAX: Final = 256_000
"""Of the model's own text."""

REGULAR: Final = frozenset({"100644", "100755"})
NEW: Final = "100644"

_CI_FOLDERS: Final = (
    ".github/",
    ".gitlab/",
    ".circleci/",
    ".buildkite/",
    ".gitea/",
    ".forgejo/",
    ".woodpecker/",
    ".tekton/",
    ".teamcity/",
    ".semaphore/",
    ".azure-pipelines/",
    ".devcontainer/",
    ".vscode/",
    ".husky/",
)
_CI_FILES: Final = frozenset(
    {
        "codeowners", ".travis.yml", "jenkinsfile", "azure-pipelines.yml", "azure-pipelines.yaml", "appveyor.yml",
        ".appveyor.yml", "bitbucket-pipelines.yml", ".drone.yml", ".woodpecker.yml", ".cirrus.yml", "buildspec.yml",
        "cloudbuild.yaml", ".pre-commit-config.yaml", "renovate.json", "action.yml", "action.yaml", ".renovaterc",
        ".renovaterc.json", "renovate.json5", ".mergify.yml", ".devcontainer.json", "lefthook.yml", ".drone.jsonnet",
    }
)  # fmt: skip
"""What runs, or decides who may, without anybody's looking: GitHub's, other services' and editors' that read the same
tree."""

_NEVER: Final = frozenset({".gitmodules", ".gitattributes"})

_SHORT: Final = re.compile(r"[^.]{1,8}~\d+(\..*)?")
"""How Windows may call any file in short, `.git` and `.github` among them:
https://github.com/git/git/blob/master/path.c, is_ntfs_dotgit"""


_TURNS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""https://trojansource.codes: who reads the change sees another than what runs."""


class Form(BaseModel):
    """What a model answers, to the letter."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Path = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Text = Annotated[str, StringConstraints(max_length=FILE_BYTES_MAX)]


class Replace(Form):
    action: Literal["replace"]
    path: Path
    find: Annotated[str, StringConstraints(min_length=1, max_length=FILE_BYTES_MAX)]
    replace: Text


class Write(Form):
    action: Literal["write"]
    path: Path
    content: Text


class Delete(Form):
    action: Literal["delete"]
    path: Path


Edit = Annotated[Replace | Write | Delete, Field(discriminator="action")]


class Proposal(Form):
    """A plan and a patch."""

    plan: Annotated[list[Annotated[str, StringConstraints(max_length=500)]], Field(max_length=20)]
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    summary: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    edits: Annotated[list[Edit], Field(min_length=1, max_length=EDITS_MAX)]


class Unusable(Transient):
    """What the model answered cannot be used; `message` tells it why. Another answer may do better."""

    def __init__(self, problem: str) -> None:
        super().__init__("unusable_answer", problem, field="model")


@dataclass(frozen=True, slots=True)
class Change:
    """`old` and `new`: None where there is no such file."""

    path: str
    mode: str
    old: str | None
    new: str | None


def applied(
    edits: Iterable[Edit], tree: Mapping[str, Entry], files: Mapping[str, str], *, allow_ci_files: bool
) -> list[Change]:
    """The files as they are to be, of what really changes. `files`: path → text, of those that the edits touch.

    Raises Unusable, which names the path and what is wrong with it.
    """
    now: dict[str, str | None] = {}
    spelt = {folded_path(path): path for path in tree}
    for edit in edits:
        if problem := path_problem(edit.path, tree, allow_ci_files=allow_ci_files) or _twin(edit.path, tree, spelt):
            raise Unusable(f"{edit.path!r}: {problem}")
        now[edit.path] = _edited(edit, now.get(edit.path, files.get(edit.path)), tree)
    changes = [
        Change(path, tree[path].mode if path in tree else NEW, files.get(path), new)
        for path, new in now.items()
        if new != files.get(path)
    ]
    _check(changes)
    return changes


def path_problem(path: str, tree: Mapping[str, Entry], *, allow_ci_files: bool) -> str | None:
    """What is wrong with changing this path, if something is."""
    parts = path.split("/")
    if any(_is_odd(part) for part in parts):
        return "a plain relative path was expected"
    folded = folded_path(path).split("/")
    if ".git" in folded or folded[-1] in _NEVER:
        return "git's own files are not changed"
    if not allow_ci_files and is_ci(path):
        return "what runs with the repository's rights is not changed"
    above = _and_above(path)[:-1]
    if blocking := next((folder for folder in above if folder in tree and tree[folder].type != "tree"), None):
        return f"{blocking!r} is no folder"
    if path in tree and tree[path].mode not in REGULAR:
        return "it is no regular file"
    return None


def folded_path(path: str) -> str:
    """The same for all spellings that some file system, or some reader, takes for one."""
    return unicodedata.normalize("NFKC", path).casefold()


def is_ci(path: str) -> bool:
    """Whichever way it is spelt: some file systems, and some services, take one for the other."""
    folded = folded_path(path)
    return folded.startswith(_CI_FOLDERS) or folded.rpartition("/")[2] in _CI_FILES or ".gitlab-ci" in folded


def diff(changes: Iterable[Change]) -> str:
    """As `git apply` reads it."""
    return "".join(_diff(change) for change in changes)


def _edited(edit: Edit, text: str | None, tree: Mapping[str, Entry]) -> str | None:
    if isinstance(edit, Write):
        if text is None and edit.path in tree:
            raise Unusable(f"{edit.path!r}: it is no text, or too large to be changed")
        return edit.content
    if text is None:
        raise Unusable(f"{edit.path!r}: there is no such text file")
    if isinstance(edit, Delete):
        return None
    if (count := text.count(edit.find)) != 1:
        raise Unusable(f"{edit.path!r}: the text to find stands there {count} times, it must be once")
    return text.replace(edit.find, edit.replace)


def _check(changes: list[Change]) -> None:
    sizes = {change.path: len((change.new or "").encode("utf-8", "surrogatepass")) for change in changes}
    grown = sum(max(0, sizes[change.path] - len((change.old or "").encode())) for change in changes)
    if not changes:
        raise Unusable("the edits change nothing")
    if len(changes) > FILES_MAX:
        raise Unusable(f"{len(changes)} files; at most {FILES_MAX}")
    for change in changes:
        if sizes[change.path] > FILE_BYTES_MAX or "\0" in (change.new or "") or _is_broken(change.new or ""):
            raise Unusable(f"{change.path!r}: text of at most {FILE_BYTES_MAX:,} bytes was expected")
        if len(_TURNS.findall(change.new or "")) > len(_TURNS.findall(change.old or "")):
            raise Unusable(f"{change.path!r}: characters that turn the direction of text hide what it says")
    if grown > TOTAL_BYTES_MAX:
        raise Unusable(f"{grown:,} bytes are added; at most {TOTAL_BYTES_MAX:,}")
    names = {change.path for change in changes if change.new is not None}
    if clash := next((one for one in names if any(other.startswith(f"{one}/") for other in names)), None):
        raise Unusable(f"{clash!r}: it cannot be both a file and a folder")


def _twin(path: str, tree: Mapping[str, Entry], spelt: Mapping[str, str]) -> str | None:
    """`LINK/x` beside a link named `link`: a checkout on a Mac writes through it."""
    for name in _and_above(path):
        other = spelt.get(folded_path(name), name)
        if name not in tree and other != name:
            return f"its name is too much like that of {other!r}"
    return None


def _and_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _is_odd(part: str) -> bool:
    return (
        part in ("", ".", "..")
        or part[-1] in ". "
        or _SHORT.fullmatch(part) is not None
        or any(character in '\\:*?"<>|' or unicodedata.category(character)[0] == "C" for character in part)
    )


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _diff(change: Change) -> str:
    old = "/dev/null" if change.old is None else f"a/{change.path}"
    new = "/dev/null" if change.new is None else f"b/{change.path}"
    lines = [f"diff --git a/{change.path} b/{change.path}\n"]
    lines += [f"new file mode {change.mode}\n"] if change.old is None else []
    lines += [f"deleted file mode {change.mode}\n"] if change.new is None else []
    before, after = (_lines(text) for text in (change.old, change.new))
    for line in unified_diff(before, after, old, new):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _lines(text: str | None) -> list[str]:
    """git's lines end with a line feed, and with nothing else that Python takes for an end."""
    return [line for line in re.split(r"(?<=\n)", text or "") if line]
