"""`comment_on_issue`, `resolve_issue`, `auto_resolve_issue`: a GitHub and a model of our own, over real HTTP."""

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.jobs.auto_resolve_issue import auto_resolve_issue
from handlers.jobs.comment_on_issue import comment_on_issue
from handlers.jobs.resolve_issue import resolve_issue
from shared.errors import InvalidInput, LongshoreError, Permanent, Transient
from shared.issues.desk import branch_name
from shared.issues.http import Request
from shared.issues.patch import Unusable
from shared.issues.result import IssueResult
from shared.memory.ports import memory_ports
from shared.memory.secrets import MemorySecrets
from shared.memory.side import MemorySide
from shared.outcomes import Proceed, Snooze
from shared.payloads import read_payload
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.run import Run
from shared.runtime.webhooks import LOCAL_VARIABLE
from tests.databases import job_row
from tests.github import API_KEY, TOKEN, Github, Mind, Reply, secrets, serving

Json = Any  # a JSON document

NOW = 1_700_000_000_000
TYPES: dict[str, JobType[Any]] = {one.type: one for one in (comment_on_issue, resolve_issue, auto_resolve_issue)}
ADD = "def add(a, b):\n    return a - b\n"
FILES = {
    "shop/add.py": ("100644", ADD),
    "run.sh": ("100755", "echo hi\n"),
    "README.md": ("100644", "A shop.\n"),
    "picture.png": ("100644", "\0PNG"),
    "link": ("120000", "/etc/passwd"),
    "vendored": ("160000", "a commit"),
    ".github/workflows/ci.yml": ("100644", "on: push\n"),
}
FIX = {"action": "replace", "path": "shop/add.py", "find": "a - b", "replace": "a + b"}


def proposal(*edits: Json, **words: Json) -> Json:
    return {"plan": ["mend it"], "title": "Add adds", "summary": "It added wrongly.", "edits": [*edits], **words}


def thinking(*answers: Json, files: Iterable[str] = ("shop/add.py",)) -> Mind:
    """Chooses `files`, then gives each answer once, the last for ever."""
    left = list(answers)

    def says(instructions: str, _: Json) -> Json:
        if '"files"' in instructions:
            return {"files": [*files]}
        return left.pop(0) if len(left) > 1 else left[0]

    return Mind(says)


class Story:
    """One tenant, its secrets, and the two servers."""

    def __init__(self, mind: Mind, github: Github | None = None) -> None:
        self.github = github or Github(dict(FILES))
        self.mind = mind
        self.ports = memory_ports(lambda: NOW)
        self.runs: list[Run] = []
        self.secrets: dict[str, str] = {}

    def run(self, kind: str, *, job_id: str = "job_1", checkpoint: str | None = None, **fields: Json) -> object:
        return asyncio.run(self._run(kind, job_id, checkpoint, fields))

    def done(self, kind: str, **fields: Json) -> IssueResult:
        result = self.run(kind, **fields)
        assert isinstance(result, IssueResult), result
        return result

    def fails(self, kind: str, **fields: Json) -> LongshoreError:
        with pytest.raises(LongshoreError) as caught:
            self.run(kind, **fields)
        self.assert_secret_kept(str(caught.value))
        return caught.value

    def assert_secret_kept(self, *more: str) -> None:
        """In nothing that anybody may read: rows, files, comments, branches, words."""
        kept = [*cast("MemorySide", self.ports.side).items.values(), *more]
        kept += [body.decode() for body in self.ports.objects.bodies.values()]  # type: ignore[attr-defined]  # in memory
        kept += [blob.decode("utf-8", "replace") for blob in self.github.blobs.values()]
        kept += [json.dumps([self.github.comments, self.github.pulls, self.github.commits])]
        kept += [run.progress or "" for run in self.runs]
        assert not [text for text in kept if TOKEN in text or API_KEY in text]

    async def _run(self, kind: str, job_id: str, checkpoint: str | None, fields: dict[str, object]) -> object:
        base = {"type": kind, "issue_number": 7, "repo_full_name": "acme/shop", "model": "secret://model"}
        payload = read_payload(json.dumps(base | fields))
        async with serving(self.github.answer) as github, serving(self.mind.answer) as mind:
            values = {**secrets(github, mind), **self.secrets}
            held = {f"default/{name}": value.replace("GITHUB", github) for name, value in values.items()}
            cast("MemorySecrets", self.ports.secrets).values.update(held)
            self.runs.append(
                Run(job_row(job_id, 1, checkpoint), ends_at=NOW + 300_000, lease_until=1 << 60, began_at=0)
            )
            context = Context(self.runs[-1], self.ports, structlog.get_logger())
            return await cast("Awaitable[object]", TYPES[kind].function(payload, context))


@pytest.fixture(autouse=True)
def _this_machine_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOCAL_VARIABLE, "1")


# --- what they are for ------------------------------------------------------------------------------------------------


def test_a_comment_is_written_by_a_model_that_has_read_the_issue_and_the_code() -> None:
    story = Story(thinking({"comment": "It subtracts."}, files=["shop/add.py", "picture.png", "link", "none.py"]))
    story.github.comments.append({"html_url": "https://github.test/x", "body": "me too", "user": {"login": "bob"}})
    result = story.done("comment_on_issue")
    assert result.artifacts.comment_url == "https://github.test/c/2"
    assert re.fullmatch(r"It subtracts\.\n\n<!-- longshore \w{16} -->", story.github.comments[1]["body"])
    asked = story.mind.documents[-1]
    assert asked["issue"]["body"] == "add(1, 2) is -1"
    assert asked["comments"] == [{"author": "bob", "body": "me too"}]
    assert asked["files"] == {"shop/add.py": ADD}
    assert result.metadata == {"tokens": {"in": 22, "out": 6}, "comment": "It subtracts."}
    assert story.github.writes == ["POST /repos/acme/shop/issues/7/comments"]
    story.assert_secret_kept(result.model_dump_json())


def test_an_empty_issue_of_somebody_who_is_gone_is_an_issue() -> None:
    story = Story(thinking({"comment": "What is it about?"}, files=[]))
    story.github.issue |= {"title": "", "body": None, "user": None}
    story.github.comments.append({"html_url": "https://github.test/x", "body": None, "user": None})
    assert story.done("comment_on_issue").metadata["comment"] == "What is it about?"
    assert story.mind.documents[-1]["issue"]["body"] == ""


def test_a_comment_that_is_not_to_be_posted_is_in_the_result_alone() -> None:
    story = Story(thinking({"comment": "It subtracts."}))
    assert story.done("comment_on_issue", post_to_github=False).metadata["comment"] == "It subtracts."
    assert story.github.writes == []


def test_an_issue_is_resolved_on_a_branch_of_its_own_with_a_pull_request() -> None:
    new = {"action": "write", "path": "tests/test_add.py", "content": "def test(): ...\n"}
    shell = {"action": "write", "path": "run.sh", "content": "echo ho\n"}
    gone = {"action": "delete", "path": "README.md"}
    story = Story(thinking(proposal(FIX, new, shell, gone), files=["shop/add.py", "run.sh", "README.md"]))
    result = story.done("resolve_issue")
    made, github = result.artifacts, story.github
    assert made.files_changed == ["shop/add.py", "tests/test_add.py", "run.sh", "README.md"]
    assert made.branch_name is not None
    assert made.branch_name.startswith("longshore/issue-7-")
    assert github.branches[made.branch_name] == made.commit_hash
    assert github.text(made.branch_name, "shop/add.py") == ADD.replace("-", "+")
    tree = github.trees[github.commits[made.commit_hash or ""]["tree"]]
    assert {path: mode for path, (mode, _) in tree.items()} == {
        **{path: mode for path, (mode, _) in FILES.items() if path != "README.md"},
        "tests/test_add.py": "100644",
    }
    assert github.commits[made.commit_hash or ""]["message"] == "Add adds\n\nFor #7.\n\n[skip ci]\n"
    (pull,) = github.pulls
    assert (pull["head"], pull["base"], pull["title"]) == (made.branch_name, "main", "Add adds")
    assert pull["body"] == "For #7.\n\nIt added wrongly."
    assert made.pull_request_url in github.comments[0]["body"]
    assert github.commits[github.branches["main"]]["message"] == "first"
    assert result.success


def test_the_change_is_a_file_that_git_can_apply() -> None:
    new = {"action": "write", "path": "new.txt", "content": "no end"}
    story = Story(
        thinking(proposal(FIX, new, {"action": "delete", "path": "README.md"}), files=["shop/add.py", "README.md"])
    )
    result = story.done("resolve_issue", post_to_github=False)
    assert (story.github.writes, result.artifacts.branch_name) == ([], None)
    key = (result.artifacts.diff_url or "").removeprefix("s3://memory/")
    assert story.ports.objects.bodies[key].decode() == (  # type: ignore[attr-defined]  # in memory
        "diff --git a/shop/add.py b/shop/add.py\n--- a/shop/add.py\n+++ b/shop/add.py\n"
        "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n"
        "diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n"
        "@@ -0,0 +1 @@\n+no end\n\\ No newline at end of file\n"
        "diff --git a/README.md b/README.md\ndeleted file mode 100644\n--- a/README.md\n+++ /dev/null\n"
        "@@ -1 +0,0 @@\n-A shop.\n"
    )


@pytest.mark.parametrize(
    ("kind", "fields"), [("resolve_issue", {"run_ci": True}), ("auto_resolve_issue", {"options": {"run_ci": True}})]
)
def test_ci_runs_what_nobody_has_read_only_where_the_payload_says_so(kind: str, fields: Json) -> None:
    story = Story(thinking(proposal(FIX)))
    story.done(kind, **fields)
    story.done(kind, job_id="job_2")
    assert [one["message"].endswith("[skip ci]\n") for one in story.github.commits.values()] == [False, False, True]


def test_without_a_pull_request_it_ends_with_the_branch() -> None:
    story = Story(thinking(proposal(FIX)))
    made = story.done("resolve_issue", create_pr=False).artifacts
    assert (made.pull_request_url, story.github.pulls) == (None, [])
    assert f"`{made.branch_name}`" in story.github.comments[0]["body"]


# --- several tries ----------------------------------------------------------------------------------------------------


def test_each_try_learns_what_was_wrong_with_the_one_before() -> None:
    wrong = proposal(FIX | {"find": "a * b"})
    story = Story(thinking(wrong, proposal(FIX)))
    first = story.run("auto_resolve_issue")
    assert isinstance(first, Proceed)
    assert story.github.writes == []
    result = story.done("auto_resolve_issue", checkpoint=first.checkpoint)
    told = "'shop/add.py': the text to find stands there 0 times, it must be once"
    assert [one.get("problem") for one in story.mind.documents] == [None, None, told, told]
    assert (result.metadata["attempts"], len(story.github.pulls)) == (2, 1)


def test_when_no_try_came_to_anything_the_last_reason_is_told() -> None:
    story = Story(thinking("I would rather not"))
    checkpoint = None
    for _ in range(2):
        outcome = story.run("auto_resolve_issue", checkpoint=checkpoint)
        assert isinstance(outcome, Proceed)
        checkpoint = outcome.checkpoint
    error = story.fails("auto_resolve_issue", checkpoint=checkpoint)
    assert (error.code, isinstance(error, Permanent)) == ("unresolved", True)
    assert "no JSON object" in error.message
    assert story.github.writes == []


def test_a_long_problem_fits_a_checkpoint() -> None:
    story = Story(thinking(proposal(FIX | {"find": "x", "path": '"' * 500})))
    outcome = story.run("auto_resolve_issue")
    assert isinstance(outcome, Proceed)
    assert len(outcome.checkpoint.encode()) <= 1024


# --- again ------------------------------------------------------------------------------------------------------------


def test_a_repeat_asks_nobody_and_finds_what_is_there() -> None:
    story = Story(thinking(proposal(FIX)))
    first = story.done("resolve_issue")
    asked, written = len(story.mind.seen), story.github.writes
    again = story.done("resolve_issue")
    assert again.artifacts.model_dump(exclude={"diff_url"}) == first.artifacts.model_dump(exclude={"diff_url"})
    assert (len(story.mind.seen), story.github.writes) == (asked, written)
    assert (len(story.github.comments), len(story.github.pulls), len(story.github.branches)) == (1, 1, 2)


def done_but_not_told(github: Github, end: str) -> Callable[[Request], Reply | None]:
    """GitHub does what a POST to `…end` asks for, and its answer is lost."""

    def trouble(request: Request) -> Reply | None:
        if request.method != "POST" or not request.url.endswith(end):
            return None
        github.trouble = lambda _: None
        github.answer(request)
        return 502, b"<html>"

    return trouble


def test_what_was_posted_by_a_run_that_could_not_say_so_is_found_by_its_mark() -> None:
    story = Story(thinking({"comment": "It subtracts."}))
    story.github.trouble = done_but_not_told(story.github, "/comments")
    assert story.fails("comment_on_issue").code == "unavailable"
    chatter = [{"html_url": "https://github.test/x", "body": "chatter"} for n in range(70)]
    story.github.comments[:0] = chatter
    assert story.done("comment_on_issue").artifacts.comment_url == "https://github.test/c/1"
    assert len(story.github.comments) == 71


@pytest.mark.parametrize("end", ["/git/refs", "/pulls"])
def test_what_appears_meanwhile_is_our_own(end: str) -> None:
    """Of a run before, whose answer was lost or slow: GitHub does it, and says that it is there already."""
    story = Story(thinking(proposal(FIX)))

    def meanwhile(request: Request) -> Reply | None:
        if request.method != "POST" or not request.url.endswith(end):
            return None
        story.github.trouble = lambda _: None
        story.github.answer(request)
        return 422, {"message": "it exists already"}

    story.github.trouble = meanwhile
    made = story.done("resolve_issue").artifacts
    assert story.github.branches[made.branch_name or ""] == made.commit_hash
    assert [made.pull_request_url] == [pull["html_url"] for pull in story.github.pulls]


def test_a_branch_that_somebody_went_on_with_is_left_as_it_is() -> None:
    story = Story(thinking(proposal(FIX)))
    story.github.trouble = done_but_not_told(story.github, "/git/refs")
    assert story.fails("resolve_issue").code == "unavailable"
    branch, ours = branch_name(7, "job_1"), story.github.branches[branch_name(7, "job_1")]
    story.github.branches[branch] = theirs = story.github.add_commit("more", story.github.add_tree({}), [ours])
    made = story.done("resolve_issue").artifacts
    assert (made.commit_hash, len(story.github.pulls)) == (ours, 1)
    assert story.github.branches[branch] == theirs


def test_a_branch_that_may_not_be_made_is_no_success() -> None:
    story = Story(thinking(proposal(FIX)))
    story.github.trouble = lambda one: (
        (422, {"message": "Repository rule violations found"}) if one.url.endswith("/git/refs") else None
    )
    error = story.fails("resolve_issue", create_pr=False)
    assert (error.code, error.message) == ("refused", "it answers 422: Repository rule violations found")


def test_another_job_has_a_branch_of_its_own() -> None:
    story = Story(thinking(proposal(FIX)))
    branches = {story.done("resolve_issue", job_id=name).artifacts.branch_name for name in ("job_1", "job_2")}
    assert len(branches) == 2


def test_an_answer_that_fitted_is_kept_though_the_default_branch_moves_on() -> None:
    story = Story(thinking(proposal(FIX)))
    story.github.trouble = lambda one: (502, b"<html>") if one.method == "POST" else None
    assert isinstance(story.fails("resolve_issue"), Transient)
    base = story.github.branches["main"]
    story.github.trouble = lambda _: None
    story.github.branches["main"] = story.github.add_commit("later", story.github.add_tree({}), [base])
    made = story.done("resolve_issue").artifacts.commit_hash or ""
    assert story.github.commits[made]["parents"] == [base]


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_an_apps_token_is_for_one_repository_and_no_more_rights_than_needed(app_key: str) -> None:
    import jwt

    story = Story(thinking({"comment": "Yes."}))
    story.secrets["github"] = json.dumps({"api_url": "GITHUB", "app_id": 12, "private_key": app_key})
    story.done("comment_on_issue")
    rights = {"contents": "read", "issues": "write", "metadata": "read"}
    assert story.github.app_wanted == {"repositories": ["shop"], "permissions": rights}
    signature = story.github.seen[0].headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(signature, options={"verify_signature": False})
    assert claims == {"iat": NOW // 1000 - 60, "exp": NOW // 1000 + 480, "iss": "12"}
    assert app_key.splitlines()[3] not in json.dumps([story.github.comments])


def test_rights_to_workflows_are_asked_for_only_where_they_are_allowed(app_key: str) -> None:
    story = Story(thinking(proposal(FIX)))
    story.secrets["github"] = json.dumps(
        {"api_url": "GITHUB", "app_id": "12", "private_key": app_key, "installation_id": 5}
    )
    story.done("resolve_issue")
    assert "workflows" not in story.github.app_wanted["permissions"]
    story.done("resolve_issue", job_id="job_2", allow_ci_files=True)
    assert story.github.app_wanted["permissions"]["workflows"] == "write"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("github", '{"token": "x", "api_url": "ftp://x"}', "api_url"),
        ("github", '{"tokn": "hunter2hunter2"}', "the JSON object: Extra inputs"),
        ("github", '{"app_id": 1}', "either token, or app_id and private_key"),
        ("github", '{"api_url": "GITHUB", "app_id": 1, "private_key": "hunter2hunter2"}', "no RSA key"),
        ("model", "hunter2hunter2", "Invalid JSON"),
        ("github", "hunter2hunter2\nhunter2hunter2", "a token, or"),
        ("github", "\u201chunter2hunter2\u201d", "a token, or"),
        ("github", '{"token": "hunter2\\nhunter2"}', "token: Value error, printable ASCII"),
        ("github", '{"token": ""}', "token: Value error, printable ASCII"),
        ("model", '{"base_url": "https://x", "model": "m", "api_key": "hunter2\\r\\nX: y"}', "api_key: Value error"),
        ("model", '{"base_url": "https://x", "model": ""}', "model"),
    ],
)
def test_a_secret_that_is_no_connection_is_told_without_a_word_of_it(name: str, value: str, told: str) -> None:
    story = Story(thinking({"comment": "Yes."}))
    story.secrets[name] = value
    error = story.fails("comment_on_issue")
    assert (error.code, error.field) == ("bad_connection", name)
    assert told in error.message
    assert "hunter2" not in error.message


def test_a_secret_that_is_not_there_is_told_by_its_field() -> None:
    story = Story(thinking({"comment": "Yes."}))
    assert story.fails("comment_on_issue", model="secret://other").field == "model"
    assert story.fails("comment_on_issue", github="secret://other").field == "github"


def test_a_plain_server_or_one_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(thinking({"comment": "Yes."}))
    monkeypatch.delenv(LOCAL_VARIABLE)
    assert "https://" in story.fails("comment_on_issue").message
    for inside in ("https://127.0.0.1:1", "https://169.254.169.254", "https://10.0.0.1"):
        story.secrets = {
            "github": json.dumps({"api_url": inside, "token": TOKEN}),
            "model": '{"base_url": "https://127.0.0.1", "model": "m"}',
        }
        assert story.fails("comment_on_issue").code == "address_refused"
    assert story.github.seen == []


# --- what the servers refuse ------------------------------------------------------------------------------------------


def answering(*reply: Any, method: str = "GET") -> Callable[[Any], Reply | None]:
    return lambda one: cast("Reply", reply) if one.method == method else None


RESET = str(NOW // 1000 + 90)
SOON = {"Retry-After": "5"}


@pytest.mark.parametrize(
    ("reply", "pause_s"),
    [
        ((429, {"message": "slow"}, {"Retry-After": "17"}), 17),
        ((429, {"message": "slow"}, {"Retry-After": "0"}), 1),
        ((429, {"message": "slow"}, {"Retry-After": "9" * 400}), 6 * 3600),
        ((403, {"message": "secondary"}, {"Retry-After": "17"}), 17),
        ((403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET}), 91),
        ((403, {"message": "You have exceeded a secondary rate limit"}), 60),
        ((429, {}), 60),
    ],
)
def test_a_pause_that_is_asked_for_costs_no_attempt(reply: Any, pause_s: float) -> None:
    story = Story(thinking({"comment": "Yes."}))
    story.github.trouble = answering(*reply)
    outcome = story.run("comment_on_issue")
    assert isinstance(outcome, Snooze)
    assert (pause_s <= outcome.delay_s <= 1.5 * pause_s, outcome.reason) == (True, "rate_limited github")
    assert len(story.github.seen) == 1


def test_a_models_pause_costs_no_attempt_either() -> None:
    story = Story(Mind(lambda *_: (429, {"error": {"message": f"slow, {API_KEY}"}}, SOON)))
    outcome = story.run("comment_on_issue")
    assert isinstance(outcome, Snooze)
    assert (5 <= outcome.delay_s <= 7.5, outcome.reason) == (True, "rate_limited model")


@pytest.mark.parametrize(
    ("reply", "code", "kind"),
    [
        ((503, b"down"), "unavailable", Transient),
        ((500, b"down"), "unavailable", Transient),
        ((200, b"<html>"), "unexpected_answer", Transient),
        ((200, b"\xff\xfe{}"), "unexpected_answer", Transient),
        ((200, b"[" * 1_000_000), "unexpected_answer", Transient),
        ((200, gzip.compress(b" " * 20_000_000), {"Content-Encoding": "gzip"}), "unexpected_answer", Transient),
        ((200, []), "unexpected_answer", Transient),
        ((401, {"message": f"no {TOKEN}"}), "bad_credentials", Permanent),
        ((403, {"message": "Resource not accessible by integration"}), "refused", Permanent),
        ((301, {}, {"Location": "http://169.254.169.254/"}), "redirected", Permanent),
        ((307, {}, {"Location": "https://elsewhere.test/"}), "redirected", Permanent),
        ((404, {"message": "Not Found"}), "no_such_issue", Permanent),
    ],
)
def test_what_github_says_is_understood(reply: Any, code: str, kind: type[LongshoreError]) -> None:
    story = Story(thinking({"comment": "Yes."}))
    story.github.trouble = answering(*reply)
    error = story.fails("comment_on_issue")
    assert (error.code, type(error)) == (code, kind)
    assert len(story.github.seen) == 1


def test_an_expired_credential_is_told_by_its_field_and_what_to_do() -> None:
    story = Story(thinking({"comment": "Yes."}))
    story.github.token = "another"
    error = story.fails("comment_on_issue")
    assert (error.code, error.field) == ("bad_credentials", "github")
    assert error.message == (
        "it answers 401: Bad credentials; the secret's credential is wrong, revoked or expired: keep a new one"
    )


@pytest.mark.parametrize(
    ("reply", "code", "kind"),
    [
        ((503, {"error": {"message": "Overloaded"}}), "unavailable", Transient),
        ((529, {"error": {"message": "Overloaded"}}), "unavailable", Transient),
        ((429, {"error": {"message": API_KEY, "code": "insufficient_quota"}}, SOON), "quota_spent", Permanent),
        ((429, {"error": {"type": "insufficient_quota"}}), "quota_spent", Permanent),
        ((400, {"error": "too long"}), "refused", Permanent),
        ((401, {"error": {"message": API_KEY}}), "bad_credentials", Permanent),
        ((308, {}, {"Location": "http://10.0.0.1/"}), "redirected", Permanent),
        ((200, {"choices": []}), "unexpected_answer", Transient),
        ((200, b"data: {}"), "unexpected_answer", Transient),
        ((200, b'{"choices": [{"message": {"content": "\xff"}}]}'), "unexpected_answer", Transient),
        ((200, b'{"choices": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"), "unexpected_answer", Transient),
        ((200, b""), "unexpected_answer", Transient),
        ((200, {"choices": [{"message": {"content": ["a"]}}]}), "unexpected_answer", Transient),
        ((200, {"choices": [{"message": {"content": None, "tool_calls": [{}]}}]}), "unusable_answer", Unusable),
        ((200, {"choices": [{"message": {"content": None, "refusal": "No."}}]}), "unusable_answer", Unusable),
        ((200, {"choices": [{"message": {"content": "{"}, "finish_reason": "length"}]}), "unusable_answer", Unusable),
        (
            (200, {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}),
            "model_refused",
            Permanent,
        ),
        ((200, b" " * 5_000_000), "answer_too_large", Permanent),
    ],
)
def test_what_the_models_server_says_is_understood(reply: Any, code: str, kind: type[LongshoreError]) -> None:
    story = Story(Mind(lambda *_: reply))
    error = story.fails("comment_on_issue")
    assert (error.code, error.field, type(error)) == (code, "model", kind)


def test_what_a_model_says_that_it_used_is_no_reason_to_fail() -> None:
    usage = {"prompt_tokens": -(10**30), "completion_tokens": "many"}

    def says(instructions: str, _: Json) -> Json:
        words = '{"files": []}' if '"files"' in instructions else '{"comment": "Yes."}'
        return 200, {"choices": [{"message": {"content": words}}], "usage": usage}

    assert Story(Mind(says)).done("comment_on_issue").metadata["tokens"] == {"in": 0, "out": 0}


def test_repositories_that_nothing_can_be_done_with_say_so() -> None:
    story = Story(thinking(proposal(FIX)))
    story.github.truncated = True
    assert story.fails("resolve_issue").code == "repository_too_large"
    story = Story(thinking(proposal(FIX)))
    story.github.about["archived"] = True
    assert story.fails("resolve_issue").code == "archived"
    story = Story(thinking(proposal(FIX)))
    del story.github.branches["main"]
    assert story.fails("resolve_issue").code == "empty_repository"


def test_nobody_listening_is_tried_again() -> None:
    story = Story(thinking({"comment": "Yes."}))
    story.secrets["github"] = json.dumps({"api_url": "http://127.0.0.1:1", "token": TOKEN})
    assert story.fails("comment_on_issue").code == "unreachable"


# --- payloads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"repo_full_name": "acme/.."}, "repo_full_name"),
        ({"repo_full_name": "acme/shop/../other"}, "repo_full_name"),
        ({"repo_full_name": "acme/shop?x"}, "repo_full_name"),
        ({"issue_number": 0}, "issue_number"),
        ({"issue_number": "7"}, "issue_number"),
        ({"github": TOKEN}, "github"),
        ({"github": "secret://../other"}, "github"),
        ({"model": "https://evil.test"}, "model"),
        ({"api_key": API_KEY}, "api_key"),
        ({"options": {"max_attempts": 6}}, "options.max_attempts"),
    ],
)
def test_a_bad_payload_is_refused_by_its_field(fields: dict[str, Json], wrong: str) -> None:
    base = {"type": "auto_resolve_issue", "issue_number": 7, "repo_full_name": "acme/shop"}
    with pytest.raises(InvalidInput) as caught:
        read_payload(json.dumps(base | fields))
    assert caught.value.field == wrong
    assert TOKEN not in str(caught.value)


def test_the_priority_of_the_options_is_the_jobs_own() -> None:
    base = {"type": "auto_resolve_issue", "issue_number": 7, "repo_full_name": "acme/shop"}
    assert read_payload(json.dumps(base | {"options": {"priority": "urgent"}})).priority == "urgent"
    assert read_payload(json.dumps(base | {"priority": "low", "options": {"priority": "urgent"}})).priority == "low"
    assert read_payload(json.dumps(base)).priority == "normal"
