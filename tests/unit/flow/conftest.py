"""Flows may be steps of flows."""

import pytest

from shared.payloads import TYPES
from shared.payloads.flow import FlowPayload


@pytest.fixture(autouse=True)
def flow_is_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TYPES, "flow", FlowPayload)
