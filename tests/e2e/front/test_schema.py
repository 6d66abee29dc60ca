"""The API against its own document: whatever the document allows or forbids, the answers are those that it promises."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.runtime.api.openapi import openapi
from shared.runtime.api.routes import ROUTES
from tests.e2e.front.served import Reply, Served, claims_of, served

DOCUMENT = openapi(ROUTES, "1")
EXAMPLES = 20

VERBS = {
    "cancel", "create", "delete", "disable", "enable", "explain", "export", "get", "group", "list", "pause",
    "ping", "preview", "redrive", "resume", "retry", "rotate", "run", "send", "set", "submit", "update",
}  # fmt: skip

PROMISED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def _operations() -> dict[str, APIOperation[Any, Any, Any, Any]]:
    """The token is the harness's to send, and is no part of what is varied."""
    schema = schemathesis.openapi.from_dict({**DOCUMENT, "security": []})
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    assert len(found) == len(ROUTES)
    return {operation.label: operation for operation in found}


OPERATIONS = _operations()


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_promises(label: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.headers or operation.body):
        pytest.skip("nothing in it can be wrong")

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(generation_mode=mode), st.sampled_from([None, 0, 1, 2]), st.booleans())
    def holds(case: Case[Any], which: int | None, is_first_page: bool) -> None:
        with served("acme") as house:
            for name in [name for name in case.path_parameters if which is not None and name in house.ids["acme"]]:
                case.path_parameters[name] = house.ids["acme"][name][(which or 0) % len(house.ids["acme"][name])]
            if is_first_page and mode is GenerationMode.POSITIVE:
                for place in (case.query, case.body):
                    _without_cursor(place)
            case.validate_response(_answered(house, case), checks=PROMISED)

    holds()


def _without_cursor(place: object) -> None:
    """No text made up at random is a cursor, and with one there would be nothing but refusals."""
    if isinstance(place, dict):
        place.pop("cursor", None)


def _answered(house: Served, case: Case[Any]) -> Response:
    asked = requests.Request(**case.as_transport_kwargs(base_url="http://api.test")).prepare()
    url = urlsplit(str(asked.url))
    body = asked.body.encode() if isinstance(asked.body, str) else asked.body or b""
    headers = {name.lower(): str(value) for name, value in asked.headers.items()}
    reply = house.ask(str(asked.method), url.path, body, query=url.query, headers=headers, claims=claims_of())
    return _response(asked, reply)


def test_the_document_is_one_by_the_specification() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_a_client_made_of_the_document_has_methods_that_say_what_they_do() -> None:
    found = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in found]
    assert len(names) == len({*names})
    assert [name for name in names if name.split("_")[0] not in VERBS or "_" not in name] == [], (
        "give the route a name="
    )
    for operation in found:
        assert operation["summary"]
        assert operation["description"].strip()
        assert operation["tags"]


def test_examples_in_the_document_are_accepted() -> None:
    for method, path, body in _examples():
        with served("acme") as house:
            assert house.ask(method, path, body, claims=claims_of()).status // 100 == 2


def _examples() -> Sequence[tuple[str, str, object]]:
    found = [(route.method, route.path, body) for route in ROUTES for body in route.examples.values()]
    assert any(path == "/jobs" for _, path, _ in found)
    return found


def _response(asked: requests.PreparedRequest, reply: Reply) -> Response:
    return Response(
        status_code=reply.status,
        headers={name.lower(): [value] for name, value in reply.headers.items()},
        content=reply.body,
        request=asked,
        elapsed=0.0,
        verify=False,
    )


def test_the_document_asks_for_the_type_of_a_payload_as_the_door_does() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for reference in schemas["AnyPayload"]["oneOf"]:
        assert "type" in schemas[reference["$ref"].rsplit("/", 1)[-1]]["required"]
