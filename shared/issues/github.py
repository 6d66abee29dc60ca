"""One repository on GitHub, and nothing else of it: https://docs.github.com/en/rest

- Every path begins with the repository that the payload names; an app's token is asked for it alone, with no more
  rights than the job needs.
- Nothing here changes or deletes a reference: branches are made, below `longshore/`, and left as they are. One of our
  name that does not hold our commit is somebody else's.
- A file is what its tree says: 100644, 100755. Links, submodules and folders are none.
"""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, JsonValue, SecretStr

from shared.errors import Permanent
from shared.issues.api import Api
from shared.issues.connection import GithubConnection, Known
from shared.issues.http import net
from shared.issues.shapes import About, Comment, Issue, PageUrl, Tree

FIELD: Final = "github"
TIMEOUT_S: Final = 30

BRANCH_PREFIX: Final = "longshore/"

COMMENTS_PAGE: Final = 30
COMMENT_PAGES_MAX: Final = 84
"""GitHub allows 2,500 comments on an issue."""

APP_TOKEN_S: Final = 540
"""How long an app's own signature is good: GitHub takes up to 10 minutes, and clocks differ."""


class _Sha(BaseModel):
    sha: str


class _Ref(BaseModel):
    object: _Sha


class _Commit(BaseModel):
    tree: _Sha


class _Blob(BaseModel):
    content: str
    encoding: str


class _Page(BaseModel):
    html_url: PageUrl


class _Comparison(BaseModel):
    status: str


class _Token(BaseModel):
    token: SecretStr


class _Id(BaseModel):
    id: int


class Repository:
    """Opened by `repository(…)`. Raises what `Api.ask` does."""

    def __init__(self, api: Api, full_name: str) -> None:
        self._api = api
        self._full_name = full_name

    async def about(self) -> About:
        return self._api.read(About, await self._ask("GET", ""))

    async def issue(self, number: int) -> Issue:
        """Raises Permanent("no_such_issue"): where there is no such repository, too."""
        status, found = await self._api.ask("GET", self._path(f"/issues/{number}"), expect=(404, 410))
        if status in (404, 410):
            message = f"no issue {number} in {self._full_name}, or the credential may not see it"
            raise Permanent("no_such_issue", message, field="issue_number")
        return self._api.read(Issue, found)

    async def comments(self, number: int, *, count: int) -> list[Comment]:
        """The newest of `count`, at least COMMENTS_PAGE where there are as many, the oldest first."""
        last = max(1, -(-count // COMMENTS_PAGE))
        return [one for page in range(max(1, last - 1), last + 1) for one in await self._comments(number, page)]

    async def comment_with(self, mark: str, number: int, *, since: str) -> str | None:
        """→ the URL of the one that holds `mark`, if it was written `since` (RFC 3339)."""
        for page in range(1, COMMENT_PAGES_MAX + 1):
            some = await self._comments(number, page, f"&since={quote(since)}")
            if (found := next((one for one in some if mark in (one.body or "")), None)) is not None:
                return found.html_url
            if len(some) < COMMENTS_PAGE:
                break
        return None

    async def add_comment(self, number: int, body: str) -> str:
        """→ its URL"""
        made = await self._ask("POST", f"/issues/{number}/comments", {"body": body})
        return self._api.read(_Page, made).html_url

    async def head(self, branch: str) -> str | None:
        """→ the commit that a branch is at, if there is one. Raises Permanent("empty_repository")."""
        path = self._path(f"/git/ref/heads/{quote(branch)}")
        status, found = await self._api.ask("GET", path, expect=(404, 409))
        if status == 409:
            raise Permanent("empty_repository", "there is no commit in it", field="repo_full_name")
        return None if status == 404 else self._api.read(_Ref, found).object.sha

    async def tree(self, commit: str) -> Tree:
        """All files. Raises Permanent("repository_too_large"): of a part of them nobody can tell what is a link."""
        root = self._api.read(_Commit, await self._ask("GET", f"/git/commits/{quote(commit)}")).tree.sha
        tree = self._api.read(Tree, await self._ask("GET", f"/git/trees/{quote(root)}?recursive=1"))
        if tree.truncated:
            message = "GitHub lists no more than 100,000 files"
            raise Permanent("repository_too_large", message, field="repo_full_name")
        return tree

    async def blob(self, sha: str) -> bytes:
        blob = self._api.read(_Blob, await self._ask("GET", f"/git/blobs/{quote(sha)}"))
        try:
            return base64.b64decode(blob.content) if blob.encoding == "base64" else blob.content.encode()
        except ValueError:
            raise self._api.nonsense("no Base64") from None

    async def commit(self, parent: str, tree: str, files: Mapping[str, tuple[str, bytes | None]], message: str) -> str:
        """A commit that no branch holds yet, of path → (mode, content; None: it is deleted). → its SHA"""
        entries: list[JsonValue] = []
        for path, (mode, content) in files.items():
            sha = None if content is None else await self._make_blob(content)
            entries.append({"path": path, "mode": mode, "type": "blob", "sha": sha})
        made = await self._ask("POST", "/git/trees", {"base_tree": tree, "tree": entries})
        document: JsonValue = {"message": message, "tree": self._api.read(_Sha, made).sha, "parents": [parent]}
        return self._api.read(_Sha, await self._ask("POST", "/git/commits", document)).sha

    async def make_branch(self, branch: str, commit: str) -> None:
        """Found where it is: at `commit`, or at what somebody has put on top of it.

        Raises Permanent("not_ours"): another branch has that name.
        """
        if not branch.startswith(BRANCH_PREFIX):
            raise Permanent("not_ours", f"no branch but {BRANCH_PREFIX}… is made", field="repo_full_name")
        head = await self.head(branch)
        if head is None:
            try:
                await self._ask("POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": commit})
            except Permanent:
                if (head := await self.head(branch)) is None:
                    raise
        if head not in (None, commit) and not await self._is_on_top(head or "", commit):
            message = f"the branch {branch} holds something else than this job's commit: delete or rename it"
            raise Permanent("not_ours", message, field="repo_full_name")

    async def pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        """The URL of the one from `branch` to `base`, open or not, else of a new one."""
        if (found := await self._pull_request(branch, base)) is not None:
            return found
        document: JsonValue = {"title": title, "head": branch, "base": base, "body": body}
        try:
            return self._api.read(_Page, await self._ask("POST", "/pulls", document)).html_url
        except Permanent:
            if (found := await self._pull_request(branch, base)) is None:
                raise
            return found

    async def _pull_request(self, branch: str, base: str) -> str | None:
        owner = self._full_name.partition("/")[0]
        query = f"head={quote(f'{owner}:{branch}', safe='')}&base={quote(base, safe='')}&state=all&per_page=1"
        found = self._api.read(list[_Page], await self._ask("GET", f"/pulls?{query}"))
        return found[0].html_url if found else None

    async def _is_on_top(self, head: str, commit: str) -> bool:
        """The second page of a comparison, since the first one lists files."""
        path = self._path(f"/compare/{quote(commit)}...{quote(head)}?per_page=1&page=2")
        status, found = await self._api.ask("GET", path, expect=(404,))
        return status != 404 and self._api.read(_Comparison, found).status == "ahead"

    async def _comments(self, number: int, page: int, query: str = "") -> list[Comment]:
        path = f"/issues/{number}/comments?per_page={COMMENTS_PAGE}&page={page}{query}"
        return self._api.read(list[Comment], await self._ask("GET", path))

    async def _make_blob(self, content: bytes) -> str:
        document: JsonValue = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
        return self._api.read(_Sha, await self._ask("POST", "/git/blobs", document)).sha

    async def _ask(self, method: str, path: str, body: JsonValue = None) -> JsonValue:
        return (await self._api.ask(method, self._path(path), body))[1]

    def _path(self, path: str) -> str:
        return f"/repos/{self._full_name}{path}"


@asynccontextmanager
async def repository(
    connection: GithubConnection,
    full_name: str,
    rights: Mapping[str, str],
    *,
    known: Known,
    now: Callable[[], int],
    is_local: bool,
) -> AsyncIterator[Repository]:
    """`rights`: what an app's token is to allow, as GitHub calls it."""
    known.learn(connection.token, connection.private_key)
    async with net(FIELD, timeout_s=TIMEOUT_S, is_private=connection.private, is_local=is_local) as exchange:

        def api(token: str) -> Api:
            headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
            return Api(exchange, connection.api_url, headers | {"Authorization": f"Bearer {token}"}, FIELD, known, now)

        if connection.token is not None:
            yield Repository(api(connection.token.get_secret_value()), full_name)
        else:
            signature = app_signature(connection, now())
            known.learn(signature)
            token = await _app_token(api(signature), connection, full_name, rights)
            known.learn(token)
            yield Repository(api(token.get_secret_value()), full_name)


async def _app_token(api: Api, connection: GithubConnection, full_name: str, rights: Mapping[str, str]) -> SecretStr:
    """For one repository, for an hour: https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app"""
    installation = connection.installation_id
    if installation is None:
        _, found = await api.ask("GET", f"/repos/{full_name}/installation")
        installation = api.read(_Id, found).id
    wanted: JsonValue = {"repositories": [full_name.partition("/")[2]], "permissions": dict(rights)}
    _, made = await api.ask("POST", f"/app/installations/{installation}/access_tokens", wanted)
    return api.read(_Token, made).token


def app_signature(connection: GithubConnection, now: int) -> str:
    """https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app"""
    import jwt  # only apps sign, and it loads a library of 14 MB

    key = connection.private_key.get_secret_value() if connection.private_key else ""
    issued_s = now // 1000 - 60
    claims = {"iat": issued_s, "exp": issued_s + APP_TOKEN_S, "iss": connection.app_id}
    try:
        return jwt.encode(claims, key, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise Permanent("bad_connection", "its secret: private_key: no RSA key in PEM", field=FIELD) from None
