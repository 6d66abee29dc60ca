"""The flows of the docs are flows."""

import re
from pathlib import Path

import pytest

from shared.payloads import read_payload
from shared.payloads.flow import FlowPayload

BLOCKS = re.findall(r"```json\n(\{.*?\n\})\n```", Path("docs/flows.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_flow_of_the_docs_can_be_submitted(block: str) -> None:
    assert isinstance(read_payload(block), FlowPayload)
    assert len(BLOCKS) >= 1
