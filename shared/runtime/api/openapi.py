"""The OpenAPI 3.1 document, made of the table of routes and the models: it cannot say what the API does not do.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final  # Any: a JSON Schema is whatever JSON Schema says it is

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.payloads import json_schema
from shared.runtime.api.app import Route
from shared.runtime.api.messages import JSON_TYPE
from shared.runtime.api.problems import PROBLEM_TYPE, ProblemDetails

REF: Final = "#/components/schemas/{model}"

ALWAYS: Final = (500, 503)
WITH_TOKEN: Final = (401, 403, 429)

Document = dict[str, Any]

Refs = dict[object, Document]
"""By model: two of the same name get longer ones from pydantic."""

TEXTS: Final[dict[str, Document]] = {JSON_TYPE: {"type": "object"}}
"""What is no model, and no text either."""

_AFTER: Final[Document] = {
    "Retry-After": {"description": "Seconds to wait", "required": True, "schema": {"type": "integer"}}
}
PROBLEM_HEADERS: Final[dict[int, Document]] = {429: {"headers": _AFTER}, 503: {"headers": _AFTER}}


def openapi(routes: Sequence[Route], version: str) -> Document:
    refs, schemas = _schemas(routes)
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Longshore",
            "version": version,
            "description": "Background jobs on SQS, Lambda and DynamoDB. Errors are problem details (RFC 9457).",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": schemas,
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple[Refs, Document]:
    """Of every model that goes in or comes out, and of every job type's payload; and how each is referred to."""
    into = {route.body for route in routes if isinstance(route.body, type)}
    out = {model for route in routes for model in route.answers.values() if isinstance(model, type)} | {ProblemDetails}
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in into]
    asked += [(model, "serialization") for model in out]
    refs, found = models_json_schema(sorted(asked, key=lambda pair: pair[0].__name__), ref_template=REF)
    payloads = json_schema(ref_template=REF)
    schemas: Document = {**found["$defs"], **payloads.pop("$defs")}
    return {model: ref for (model, _), ref in refs.items()}, {**schemas, "AnyPayload": payloads}


def _operation(route: Route, refs: Refs) -> Document:
    operation: Document = {
        "operationId": route.name or route.act.__name__,
        "tags": [_tag(route)],
        "summary": route.summary,
        "description": _description(route),
        "parameters": [*_path(route), *_query(route), *_headers(route)],
        "responses": {str(status): _response(model, refs) for status, model in route.answers.items()},
    }
    problems = {*route.may, *ALWAYS, *(WITH_TOKEN if route.role else ())}
    problems -= route.answers.keys()
    problems |= {400, 413, 415, 422} if route.body else {422} if route.query else set()
    operation["responses"] |= {str(status): _problem(status, refs) for status in sorted(problems)}
    if route.body:
        schema = {"$ref": REF.format(model=route.body)} if isinstance(route.body, str) else refs[route.body]
        content: Document = {JSON_TYPE: {"schema": schema}}
        if route.examples:
            content[JSON_TYPE]["examples"] = {word: {"value": body} for word, body in route.examples.items()}
        operation["requestBody"] = {"required": True, "content": content}
    if route.role is None:
        operation["security"] = []
    return operation


def _tag(route: Route) -> str:
    """The first word of its path; what is open to anybody is of the system itself."""
    return "system" if route.role is None else route.path.split("/")[1]


def _description(route: Route) -> str:
    needs = "Open to anybody." if route.role is None else f"Takes the role {route.role}."
    return " ".join([*(route.act.__doc__ or "").split(), needs])


def _path(route: Route) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _query(route: Route) -> list[Document]:
    return [] if route.query is None else _parameters(route.query, "query")


def _headers(route: Route) -> list[Document]:
    return [] if route.headers is None else _parameters(route.headers, "header")


def _parameters(model: type[BaseModel], place: str) -> list[Document]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": place, "required": name in required, "schema": _resolved(value, schema)}
        for name, value in schema["properties"].items()
    ]


def _resolved(value: Document, schema: Document) -> Document:
    """A parameter stands alone: what it refers to is put in its place; what is absent is left out, not null."""
    if "$ref" in value:
        return dict(schema["$defs"][value["$ref"].rsplit("/", 1)[-1]])
    alternatives = [one for one in value.get("anyOf", ()) if one != {"type": "null"}]
    if len(alternatives) == 1:
        return _resolved(alternatives[0], schema)
    return {name: part for name, part in value.items() if name not in {"title", "default"}}


def _response(model: type[BaseModel] | str | None, refs: Refs) -> Document:
    if model is None:
        return {"description": "As it is said", "content": {}}
    if isinstance(model, str):
        kinds = model.split(", ")
        return {
            "description": model,
            "content": {kind: {"schema": TEXTS.get(kind, {"type": "string"})} for kind in kinds},
        }
    return {
        "description": (model.__doc__ or model.__name__).strip(),
        "content": {JSON_TYPE: {"schema": refs[model]}},
    }


def _problem(status: int, refs: Refs) -> Document:
    found = {"description": f"{HTTPStatus(status).phrase}: a problem (RFC 9457)"}
    return {**found, "content": {PROBLEM_TYPE: {"schema": refs[ProblemDetails]}}, **PROBLEM_HEADERS.get(status, {})}
