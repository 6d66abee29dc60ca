"""A GitHub and a language model of our own: what they keep and answer, and how they are reached."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from shared.issues.http import Answer, Exchange, Request

Json = Any  # a JSON document
Reply = tuple[int, Json] | tuple[int, Json, dict[str, str]]

TOKEN = "ghp_" + "T0ken" * 8
API_KEY = "key-of-the-model-0123456789"


def sha_of(value: object) -> str:
    return hashlib.sha1(json.dumps(value, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Github:
    """One repository, acme/shop. `trouble` may answer in its place; `writes` is what was asked to be changed."""

    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """path → (mode, text)"""
    issue: dict[str, Json] = field(
        default_factory=lambda: {"number": 7, "title": "It adds", "body": "add(1, 2) is -1", "user": {"login": "ann"}}
    )
    comments: list[dict[str, Json]] = field(default_factory=list)
    pulls: list[dict[str, Json]] = field(default_factory=list)
    about: dict[str, Json] = field(default_factory=lambda: {"default_branch": "main", "private": True})
    truncated: bool = False
    trouble: Callable[[Request], Reply | None] = lambda _: None
    blobs: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    commits: dict[str, dict[str, Json]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)
    token: str = TOKEN
    app_wanted: Json = None

    def __post_init__(self) -> None:
        tree = {path: (mode, self.keep(text.encode())) for path, (mode, text) in self.files.items()}
        self.branches["main"] = self.add_commit("first", self.add_tree(tree), [])

    def keep(self, content: bytes) -> str:
        sha = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.blobs[sha] = content
        return sha

    def add_tree(self, tree: dict[str, tuple[str, str]]) -> str:
        sha = sha_of(tree)
        self.trees[sha] = tree
        return sha

    def add_commit(self, message: str, tree: str, parents: list[str]) -> str:
        sha = sha_of([message, tree, parents, len(self.commits)])  # as with dates: never twice the same
        self.commits[sha] = {"message": message, "tree": tree, "parents": parents}
        return sha

    def ancestors(self, sha: str) -> set[str]:
        return {sha}.union(*(self.ancestors(parent) for parent in self.commits[sha]["parents"]))

    @property
    def writes(self) -> list[str]:
        return [f"{one.method} {urlsplit(one.url).path}" for one in self.seen if one.method != "GET"]

    def text(self, branch: str, path: str) -> str:
        tree = self.trees[self.commits[self.branches[branch]]["tree"]]
        return self.blobs[tree[path][1]].decode()

    def answer(self, request: Request) -> Reply:
        self.seen.append(request)
        url = urlsplit(request.url)
        if (trouble := self.trouble(request)) is not None:
            return trouble
        body = json.loads(request.body) if request.body else {}
        if url.path.startswith("/app/installations/5/") or url.path == "/repos/acme/shop/installation":
            return self._app(url.path, body)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"message": "Bad credentials"}
        if url.path != "/repos/acme/shop" and not url.path.startswith("/repos/acme/shop/"):
            return 404, {"message": "Not Found"}
        path = url.path.removeprefix("/repos/acme/shop").strip("/")
        return self._answer(request.method, path, dict(parse_qsl(url.query)), body)

    def _app(self, path: str, body: Json) -> Reply:
        if path.endswith("/installation"):
            return 200, {"id": 5}
        self.app_wanted = body
        return 201, {"token": self.token}

    def _answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Reply:
        match method, *path.split("/"):
            case "GET", "":
                return 200, self.about
            case "GET", "issues", "7":
                return 200, self.issue | {"comments": len(self.comments)}
            case "GET", "issues", "7", "comments":
                page, size = int(query["page"]), int(query["per_page"])
                recent = [one for one in self.comments if one.get("updated_at", "9") >= query.get("since", "")]
                return 200, recent[size * (page - 1) : size * page]
            case "POST", "issues", "7", "comments":
                number = len(self.comments) + 1
                self.comments.append({"html_url": f"https://github.test/c/{number}", "body": body["body"]})
                return 201, self.comments[-1]
            case "GET", "pulls":
                branch = query["head"].removeprefix("acme:")
                return 200, [one for one in self.pulls if (one["head"], one["base"]) == (branch, query["base"])]
            case "POST", "pulls":
                self.pulls.append(body | {"html_url": f"https://github.test/p/{len(self.pulls) + 1}"})
                return 201, self.pulls[-1]
            case method, "git" | "compare" as kind, *rest:
                return self._git(method, rest if kind == "git" else [kind, *rest], body)
        return 404, {"message": "Not Found"}

    def _git(self, method: str, path: list[str], body: Json) -> Reply:
        return self._found(path) if method == "GET" else self._made(path[0], body)

    def _found(self, path: list[str]) -> Reply:
        match path:
            case "ref", "heads", *branch:
                sha = self.branches.get("/".join(branch))
                return (200, {"object": {"sha": sha}}) if sha else (404, {"message": "Not Found"})
            case "commits", sha:
                return 200, {"tree": {"sha": self.commits[sha]["tree"]}}
            case "compare", both:
                commit, _, head = both.partition("...")
                return 200, {"status": "ahead" if commit in self.ancestors(head) else "diverged"}
            case "trees", sha:
                return 200, {"sha": sha, "tree": self._entries(sha), "truncated": self.truncated}
            case "blobs", sha:
                return 200, {"content": base64.encodebytes(self.blobs[sha]).decode(), "encoding": "base64"}
        return 404, {"message": "Not Found"}

    def _made(self, kind: str, body: Json) -> Reply:
        match kind:
            case "blobs":
                return 201, {"sha": self.keep(base64.b64decode(body["content"]))}
            case "trees":
                tree = dict(self.trees[body["base_tree"]])
                for entry in body["tree"]:
                    tree[entry["path"]] = (entry["mode"], entry["sha"] or "")
                return 201, {"sha": self.add_tree({p: e for p, e in tree.items() if e[1]})}
            case "commits":
                return 201, {"sha": self.add_commit(body["message"], body["tree"], body["parents"])}
            case "refs":
                branch = body["ref"].removeprefix("refs/heads/")
                if branch in self.branches:
                    return 422, {"message": "Reference already exists"}
                self.branches[branch] = body["sha"]
                return 201, {"object": {"sha": body["sha"]}}
        return 404, {"message": "Not Found"}

    def _entries(self, sha: str) -> list[dict[str, Json]]:
        kinds = {"160000": "commit", "040000": "tree"}
        return [
            {"path": p, "mode": m, "type": kinds.get(m, "blob"), "sha": s, "size": len(self.blobs[s])}
            for p, (m, s) in self.trees[sha].items()
        ]


@dataclass
class Mind:
    """A model: `says` is given the instructions and the document; it may answer a status and headers instead."""

    says: Callable[[str, Json], Json | str | Reply]
    seen: list[Request] = field(default_factory=list)
    documents: list[Json] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        self.seen.append(request)
        asked = json.loads(request.body or b"{}")
        if "system" in asked:  # Bedrock's
            instructions, text = asked["system"][0]["text"], asked["messages"][0]["content"][0]["text"]
        else:
            instructions, text = (message["content"] for message in asked["messages"])
        self.documents.append(json.loads(text))
        said = self.says(instructions, self.documents[-1])
        if isinstance(said, tuple):
            return said
        words = said if isinstance(said, str) else json.dumps(said)
        if "system" in asked:
            content = {"message": {"role": "assistant", "content": [{"text": words}]}}
            return 200, {"output": content, "stopReason": "end_turn", "usage": {"inputTokens": 11, "outputTokens": 3}}
        usage = {"prompt_tokens": 11, "completion_tokens": 3}
        return 200, {"choices": [{"message": {"content": words}, "finish_reason": "stop"}], "usage": usage}


def secrets(github_url: str, model_url: str) -> dict[str, str]:
    """As an operator keeps them."""
    return {
        "github": json.dumps({"api_url": github_url, "token": TOKEN}),
        "model": json.dumps({"base_url": model_url, "model": "m-1", "api_key": API_KEY}),
    }


@asynccontextmanager
async def serving(answer: Callable[[Request], Reply]) -> AsyncIterator[str]:
    """→ its URL"""

    async def hear(request: web.Request) -> web.Response:
        heard = Request(request.method, str(request.url), dict(request.headers), await request.read() or None)
        status, document, *headers = answer(heard)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return web.Response(status=status, body=body, headers=headers[0] if headers else None)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", hear)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def wire(servers: Mapping[str, Callable[[Request], Reply]]) -> Callable[..., Any]:
    """In the place of `shared.issues.http.net` where time is virtual: who is asked → what answers, at once."""

    @asynccontextmanager
    async def net(who: str, **_: object) -> AsyncIterator[Exchange]:
        async def exchange(request: Request) -> Answer:
            await asyncio.sleep(0)
            status, document, *headers = servers[who](request)
            lowered = {name.lower(): value for name, value in (headers[0] if headers else {}).items()}
            return Answer(status, json.dumps(document).encode(), lowered)

        yield exchange

    return net
