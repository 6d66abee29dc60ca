"""The dashboard's files as they are served."""

import gzip
import re

from shared.runtime.api.messages import Answer
from shared.runtime.api.page import FOLDER, page
from tests.unit.api.test_api import Client, with_client

WEIGHT_BYTES_MAX = 116_000
SENT_BYTES_MAX = 44_000


def test_the_page_and_all_it_names_are_there_for_anybody() -> None:
    async def story(client: Client) -> None:
        html = (await client.ask("GET", "/", caller=None)).body.decode()
        names = set(re.findall(r'="(/[^"]+)"', html)) - {"/openapi.json"}
        scripts = {f"/assets/{page().version}/{path.name}" for path in FOLDER.glob("*.js")}
        assert len(names) == 3
        for path in names | scripts:
            answer = await client.ask("GET", path, caller=None)
            assert answer.status == 200, path
            assert "immutable" in answer.headers["Cache-Control"]
        old = await client.ask("GET", "/assets/0123/app.js", caller=None)
        assert (old.status, old.headers["Cache-Control"]) == (200, "no-store")
        for name in ("nothing.js", "..", "%2e%2e%2fbundle.py"):
            assert (await client.ask("GET", f"/assets/{page().version}/{name}", caller=None)).status == 404

    with_client(story)


def test_nothing_runs_in_the_page_but_its_own_files() -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("GET", "/")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        html = answer.body.decode()
        assert re.findall(r"<script[^>]*>", html) == re.findall(r'<script type="module" src="/[^"]+">', html)
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", html)

    with_client(story)


def test_the_page_is_light() -> None:
    files = page().files.values()
    assert sum(len(file.body) for file in files) <= WEIGHT_BYTES_MAX
    assert sum(len(file.compressed) for file in files) <= SENT_BYTES_MAX


def test_the_page_is_sent_compressed_to_whoever_takes_it() -> None:
    async def story(client: Client) -> None:
        plain = await client.ask("GET", "/")
        packed: Answer = await client.ask("GET", "/", accept_encoding="gzip, br")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body

    with_client(story)


def test_a_script_makes_no_markup_of_text() -> None:
    """The browser refuses it as well: see the policy."""
    for path in FOLDER.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc", path.read_text()
        ), path
        assert len(path.read_text().splitlines()) <= 300
