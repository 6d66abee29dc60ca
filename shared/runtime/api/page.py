"""The dashboard's files as they are served: small, compressed, and unable to run anything but themselves.

- The page asks the same API as everybody else, with the token of whoever looks at it: its files hold no secret.
- Scripts, styles and pictures come from here alone, and nothing written in the page itself runs; trusted types forbid
  the ways by which text becomes markup: https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/
- The page names its files with the digest of them all, so that a browser may keep them for ever.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shared.errors import NotFound
from shared.runtime.api.app import Call
from shared.runtime.api.messages import Answer

FOLDER: Final = Path(__file__).parents[3] / "infra" / "dashboard"
"""The API's bundle has it at the same place."""

KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {live}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)


@dataclass(frozen=True, slots=True)
class File:
    kind: str
    body: bytes
    compressed: bytes


@dataclass(frozen=True, slots=True)
class Page:
    version: str
    files: Mapping[str, File]


async def dashboard(call: Call) -> Answer:
    return _sent(call, "index.html", "no-cache")


async def asset(call: Call) -> Answer:
    """A file of another version than this function's is sent as it is now, and not kept."""
    is_current = call.path["version"] == page().version
    return _sent(call, call.path["name"], "public, max-age=31536000, immutable" if is_current else "no-store")


@cache
def page() -> Page:
    found = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS}
    version = hashlib.sha256(b"\0".join(found.values())).hexdigest()[:12]
    found["index.html"] = found["index.html"].replace(b"{version}", version.encode())
    return Page(version, {name: _file(Path(name).suffix, body) for name, body in found.items()})


def _file(suffix: str, body: bytes) -> File:
    return File(KINDS[suffix], body, gzip.compress(body, mtime=0))


def _sent(call: Call, name: str, kept: str) -> Answer:
    file = page().files.get(name)
    if file is None:
        raise NotFound("no_such_file", f"the dashboard has no file {name[:64]!r}", field="name")
    live = urlsplit(call.live_url)
    headers = {
        "Content-Type": file.kind,
        "Cache-Control": kept,
        "Content-Security-Policy": POLICY.format(live=f"{live.scheme}://{live.netloc}" if live.netloc else "").strip(),
        "Vary": "Accept-Encoding",
    }
    if "gzip" in call.request.headers.get("accept-encoding", ""):
        return Answer(200, file.compressed, {**headers, "Content-Encoding": "gzip"})
    return Answer(200, file.body, headers)
