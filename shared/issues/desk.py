"""Where one issue is worked on: GitHub on one side, a model on the other, and what is known between them.

- What was decided is kept (`context.once`): the commit that all is about, and the answer. A run that comes after
  another says and does the same.
- What was done is found again: the comment by a mark that nobody else can know before it is there, the branch by its
  name and our commit in it, the pull request by its branch.
- The model's words pass `words`, its edits pass `patch`; it names no repository, branch or credential.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from pydantic import BaseModel, JsonValue, SecretStr

from shared.errors import Permanent
from shared.issues import prompts
from shared.issues.connection import GithubConnection, Known, ModelConnection, is_credential, read_connection
from shared.issues.github import BRANCH_PREFIX, Repository, repository
from shared.issues.model import BEDROCK, Model, bedrock, endpoint
from shared.issues.patch import Change, Proposal, applied, diff
from shared.issues.prompts import Choice, Remark
from shared.issues.result import IssueArtifacts, IssueResult
from shared.issues.shapes import Entry
from shared.issues.words import harmless, marker, one_line
from shared.job import rfc3339
from shared.payloads.comment_on_issue import IssuePayload
from shared.runtime.context import Context
from shared.runtime.webhooks import may_be_local

STEPS: Final = 6

SKIP_CI: Final = "\n[skip ci]\n"
"""https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs, and so do most other services."""


class Base(BaseModel):
    """What the change is made on."""

    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of an issue. `document` is the model's; `tree`: path → entry."""

    base: Base
    tree_sha: str
    tree: Mapping[str, Entry]
    document: dict[str, JsonValue]


class Mark(BaseModel):
    """What tells our comment from one that looks like it, and how old it can be at most."""

    word: str
    since: str


class Kept(BaseModel):
    """An answer that fits, and the files that it was an answer to."""

    files: list[str]
    proposal: Proposal


class Desk:
    """Opened by `at_desk`. Raises what the two servers refuse, and Unusable for what the model cannot be used for."""

    def __init__(self, payload: IssuePayload, context: Context, repo: Repository, model: Model, known: Known) -> None:
        self._payload = payload
        self._context = context
        self._repo = repo
        self._model = model
        self._known = known
        self._began_s = context.time_left_s
        self._texts: dict[str, str | None] = {}

    async def gather(self) -> Material:
        """The issue, its comments, and which files there are."""
        number, name = self._payload.issue_number, self._payload.repo_full_name
        self._tell(0, f"read issue {number} of {name}")
        issue = await self._repo.issue(number)
        comments = await self._repo.comments(number, count=issue.comments)
        base = Base.model_validate(await self._context.once("base", self._base))
        self._tell(1, f"list the files of {base.commit[:12]}")
        tree = await self._repo.tree(base.commit)
        document = prompts.issue_document(name, number, issue, comments)
        return Material(base, tree.sha, {entry.path: entry for entry in tree.tree}, document)

    async def remark(self, material: Material) -> str:
        """A comment, as it may be posted."""

        async def ask(_: str) -> str:
            files = await self._chosen(material, material.document)
            self._tell(3, "ask the model for a comment")
            return (await self._model.ask(prompts.COMMENT, material.document | {"files": {**files}}, Remark)).comment

        return harmless(await self._context.once("remark", ask), self._known)

    async def proposal(
        self, material: Material, *, allow_ci_files: bool, problem: str | None = None
    ) -> tuple[Proposal, list[Change]]:
        """A change that fits, with the words for it. `problem`: of the answer before.

        What cannot be used is not kept: the next answer may be better, and to other files.
        """
        document = material.document | ({"problem": problem} if problem else {})

        def change(found: Proposal, files: Mapping[str, str]) -> list[Change]:
            return applied(found.edits, material.tree, files, allow_ci_files=allow_ci_files)

        async def ask(_: str) -> JsonValue:
            files = await self._chosen(material, document)
            self._tell(3, "ask the model for a change")
            found = await self._model.ask(prompts.RESOLVE, document | {"files": {**files}}, Proposal)
            change(found, files)
            return Kept(files=[*files], proposal=found).model_dump(mode="json")

        kept = Kept.model_validate(await self._context.once("proposal", ask))
        return kept.proposal, change(kept.proposal, await self._read(material, kept.files))

    async def push(
        self, material: Material, proposal: Proposal, changes: list[Change], *, run_ci: bool
    ) -> tuple[str, str]:
        """→ our branch, and the commit that we made for it. A branch of the repository's own is built with its secrets,
        and a test is code: unless `run_ci`, nothing runs before somebody has read it."""
        branch = branch_name(self._payload.issue_number, self._context.job_id)
        self._tell(4, f"push {len(changes)} files to {branch}")
        for change in changes:
            self._tell(4, change.path, indent_level=1)
        if branch == material.base.branch:
            raise Permanent("not_ours", "the default branch is not written to", field="repo_full_name")

        async def make(_: str) -> str:
            title = one_line(proposal.title, self._known)
            message = f"{title}\n\nFor #{self._payload.issue_number}.\n" + ("" if run_ci else SKIP_CI)
            files = {one.path: (one.mode, None if one.new is None else one.new.encode()) for one in changes}
            return await self._repo.commit(material.base.commit, material.tree_sha, files, message)

        commit = await self._context.once("commit", make)
        await self._repo.make_branch(branch, commit)
        return branch, commit

    async def pull_request(self, material: Material, proposal: Proposal, branch: str) -> str:
        """→ its URL"""
        self._tell(5, "open a pull request")
        title, summary = one_line(proposal.title, self._known), harmless(proposal.summary, self._known)
        body = f"For #{self._payload.issue_number}.\n\n{summary}"
        return await self._repo.pull_request(branch, material.base.branch, title, body)

    async def comment(self, text: str) -> str:
        """Once. → its URL"""
        self._tell(5, "comment on the issue")
        return await self._context.once("comment", lambda _: self._comment(text))

    async def keep(self, changes: list[Change]) -> str:
        """→ the URL of the change as a file"""
        async with self._context.artifacts.create("changes.diff") as upload:
            await upload.write(diff(changes).encode())
        return upload.url

    def result(self, artifacts: IssueArtifacts, **metadata: JsonValue) -> IssueResult:
        self._tell(STEPS, "done")
        tokens: JsonValue = {"in": self._model.tokens[0], "out": self._model.tokens[1]}
        seconds = round(self._began_s - self._context.time_left_s, 3)
        return IssueResult(artifacts=artifacts, execution_time=seconds, metadata={"tokens": tokens, **metadata})

    async def _base(self, _: str) -> JsonValue:
        about = await self._repo.about()
        if about.archived:
            raise Permanent("archived", "the repository is read-only", field="repo_full_name")
        commit = await self._repo.head(about.default_branch)
        if commit is None:
            raise Permanent("empty_repository", "there is no commit in it", field="repo_full_name")
        return {"branch": about.default_branch, "commit": commit}

    async def _chosen(self, material: Material, document: dict[str, JsonValue]) -> dict[str, str]:
        """→ path → text, of the files that the model wants to read."""
        self._tell(2, "ask the model which files to read")
        shown = document | prompts.paths_document(material.tree.values())
        choice = await self._model.ask(prompts.CHOOSE, shown, Choice)
        return await self._read(material, [entry.path for entry in prompts.wanted(choice.files, material.tree)])

    async def _read(self, material: Material, paths: Sequence[str]) -> dict[str, str]:
        """What is no text is left out."""
        for path in paths:
            if path not in self._texts:
                self._tell(2, path, indent_level=1)
                self._texts[path] = _text(await self._repo.blob(material.tree[path].sha))
        return {path: text for path in paths if (text := self._texts[path]) is not None}

    async def _comment(self, text: str) -> str:
        number, mark = self._payload.issue_number, Mark.model_validate(await self._context.once("mark", self._mark))
        found = await self._repo.comment_with(marker(mark.word), number, since=mark.since)
        return found or await self._repo.add_comment(number, f"{text}\n\n{marker(mark.word)}")

    async def _mark(self, _: str) -> JsonValue:
        """Kept before the comment is written. The hour is for clocks that differ."""
        ports = self._context.ports
        return {"word": ports.token(), "since": f"{rfc3339(ports.now() - 3_600_000)[:19]}Z"}

    def _tell(self, step: int, message: str, *, indent_level: int = 0) -> None:
        """A path is whatever somebody called it: nothing of it moves a terminal's cursor."""
        shown = message if message.isprintable() else ascii(message)
        self._context.progress(step, STEPS, message=shown, indent_level=indent_level)


@asynccontextmanager
async def at_desk(payload: IssuePayload, context: Context, rights: Mapping[str, str]) -> AsyncIterator[Desk]:
    """Both sides, opened with the credentials that the payload names. `rights`: of a GitHub app's token."""
    known, is_local, now = Known(), may_be_local(), context.ports.now
    async with AsyncExitStack() as stack:
        connection = await _github(payload, context, is_local=is_local)
        if payload.model.startswith(BEDROCK):
            opening = bedrock(payload.model, known=known)
        else:
            text = await context.secret(payload.model.partition("://")[2], field="model")
            found = read_connection(ModelConnection, text, field="model", is_local=is_local)
            opening = endpoint(found, known=known, now=now, is_local=is_local)
        model = await stack.enter_async_context(opening)
        repo = await stack.enter_async_context(
            repository(connection, payload.repo_full_name, rights, known=known, now=now, is_local=is_local)
        )
        yield Desk(payload, context, repo, model, known)


async def _github(payload: IssuePayload, context: Context, *, is_local: bool) -> GithubConnection:
    """A secret that is no JSON is a token, for github.com."""
    text = await context.secret(payload.github.partition("://")[2], field="github")
    if is_credential(text.strip()):
        return GithubConnection(token=SecretStr(text.strip()))
    if not text.lstrip().startswith("{"):
        message = "its secret: a token, or a JSON object, was expected"
        raise Permanent("bad_connection", message, field="github")
    return read_connection(GithubConnection, text, field="github", is_local=is_local)


def branch_name(issue_number: int, job_id: str) -> str:
    """One of this job's own."""
    return f"{BRANCH_PREFIX}issue-{issue_number}-{sha256(job_id.encode()).hexdigest()[:12]}"


def _text(content: bytes) -> str | None:
    """None: it is no text, or more than its tree said."""
    try:
        return None if b"\0" in content or len(content) > prompts.FILE_BYTES_MAX else content.decode()
    except UnicodeDecodeError:
        return None
