"""What people copy out of the docs and the help is right: links lead somewhere, payloads are taken."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_core import from_json, to_json

from infra.cli.app import program
from infra.cli.commands.submit import document_of
from infra.cli.commands.types import EXAMPLES
from infra.cli.fields import checked, payload_model
from shared.payloads import TYPES, open_types, read_payload

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"https?://|mailto:", link)]
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}: its headings are {sorted(anchors(target))}"


def payloads(page: Path) -> Iterator[dict[str, object]]:
    """JSON that is a job's, whole blocks and single lines."""
    for block in re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for text in [block, *block.splitlines()]:
            try:
                found = from_json(text)
            except ValueError:
                continue
            if isinstance(found, dict) and found.get("type") in TYPES:
                yield found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_payload_on_a_page_is_taken(page: Path) -> None:
    found = [*payloads(page)]
    for payload in found:
        read_payload(to_json(payload).decode())
    assert found or page.parent.name != "jobs" or page.stem not in open_types(), "a job's page shows its payload"


@pytest.mark.parametrize("name", open_types())
def test_what_types_shows_can_be_submitted(name: str) -> None:
    assert EXAMPLES[name], "an example in infra/cli/commands/types.py"
    for words in map(shlex.split, EXAMPLES[name]):
        if not any(word.startswith("--") for word in words):  # a file of one's own
            with_files = [word.replace("=@", "=s3://BUCKET/") for word in words]
            with program.make_context("longshore", ["submit"]):
                checked(payload_model(name), document_of(name, None, None, with_files))
