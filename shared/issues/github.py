"""One repository on GitHub, and nothing else of it: https://docs.github.com/en/rest

- Every path begins with the repository that the payload names; an app's token is asked for it alone, with no more
  rights than the job needs.
- Nothing here changes or deletes a reference: branches are made, below `longshore/`, and left as they are.
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
from shared.issues.shapes import About, Comment, Issue, Tree

FIELD: Final = "github"
TIMEOUT_S: Final = 30

BRANCH_PREFIX: Final = "longshore/"

COMMENT_PAGES_MAX: Final = 26
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
    html_url: str


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

    async def comments(self, number: int) -> list[Comment]:
        """All of them, the oldest first."""
        found: list[Comment] = []
        for page in range(1, COMMENT_PAGES_MAX + 1):
            some = await self._ask("GET", f"/issues/{number}/comments?per_page=100&page={page}")
            found += (comments := self._api.read(list[Comment], some))
            if len(comments) < 100:
                break
        return found

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
        return base64.b64decode(blob.content) if blob.encoding == "base64" else blob.content.encode()

    async def commit(self, parent: str, tree: str, files: Mapping[str, tuple[str, bytes | None]], message: str) -> str:
        """A commit that no branch holds yet, of path → (mode, content; None: it is deleted). → its SHA"""
        entries: list[JsonValue] = []
        for path, (mode, content) in files.items():
            sha = None if content is None else await self._make_blob(content)
            entries.append({"path": path, "mode": mode, "type": "blob", "sha": sha})
        made = await self._ask("POST", "/git/trees", {"base_tree": tree, "tree": entries})
        document: JsonValue = {"message": message, "tree": self._api.read(_Sha, made).sha, "parents": [parent]}
        return self._api.read(_Sha, await self._ask("POST", "/git/commits", document)).sha

    async def make_branch(self, branch: str, commit: str) -> str:
        """→ where the branch is now: one that is there already stays as it is."""
        if not branch.startswith(BRANCH_PREFIX):
            raise Permanent("not_ours", f"no branch but {BRANCH_PREFIX}… is made", field="repo_full_name")
        document: JsonValue = {"ref": f"refs/heads/{branch}", "sha": commit}
        status, _ = await self._api.ask("POST", self._path("/git/refs"), document, expect=(422,))
        return (await self.head(branch) or commit) if status == 422 else commit

    async def pull_request(self, branch: str) -> str | None:
        """→ the URL of the one made of this branch, open or not."""
        owner = self._full_name.partition("/")[0]
        query = f"head={quote(f'{owner}:{branch}', safe='')}&state=all&per_page=1"
        found = self._api.read(list[_Page], await self._ask("GET", f"/pulls?{query}"))
        return found[0].html_url if found else None

    async def make_pull_request(self, branch: str, base: str, title: str, body: str) -> str:
        document: JsonValue = {"title": title, "head": branch, "base": base, "body": body}
        return self._api.read(_Page, await self._ask("POST", "/pulls", document)).html_url

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
