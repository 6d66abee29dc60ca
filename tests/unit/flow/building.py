"""Flows to try things with."""

import json

from pydantic import JsonValue

from shared.flow import Counts, Seen, StepState
from shared.payloads import read_payload
from shared.payloads.flow import FlowPayload

Document = dict[str, JsonValue]


def job(**parameters: JsonValue) -> Document:
    return {"type": "generic", "operation": "echo", "parameters": parameters}


def step(name: str, what: Document | None = None, **fields: JsonValue) -> Document:
    return {"name": name, "job": job() if what is None else what, **fields}


def document(*steps: Document, **fields: JsonValue) -> Document:
    return {"type": "flow", "steps": [*steps], **fields}


def flow(*steps: Document, **fields: JsonValue) -> FlowPayload:
    """As every door reads it."""
    read = read_payload(json.dumps(document(*steps, **fields)))
    assert isinstance(read, FlowPayload)
    return read


SUCCESS = Seen(StepState.SUCCESS)
FAILED = Seen(StepState.FAILED)
RUNNING = Seen(StepState.RUNNING)


def mapped(state: StepState, total: int, *, succeeded: int = 0, partly: int = 0, failed: int = 0) -> Seen:
    return Seen(state, counts=Counts(total, succeeded, partly, failed))
