"""The OpenAPI 3.1 document, made of the table of routes and the models: it cannot say what the API does not do.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Sequence
from typing import Any, Final  # Any: a JSON Schema is whatever JSON Schema says it is

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.payloads import json_schema
from shared.runtime.api.app import Route
from shared.runtime.api.problems import PROBLEM_TYPE, Problem

REF: Final = "#/components/schemas/{model}"

ALWAYS: Final = (500, 503)
WITH_TOKEN: Final = (401, 403, 429)

Document = dict[str, Any]


def openapi(routes: Sequence[Route], version: str) -> Document:
    schemas = _schemas(routes)
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
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


def _schemas(routes: Sequence[Route]) -> Document:
    """Of every model that goes in or comes out, and of every job type's payload."""
    into = {route.body for route in routes if isinstance(route.body, type)}
    out = {model for route in routes for model in route.answers.values() if isinstance(model, type)} | {Problem}
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in into]
    asked += [(model, "serialization") for model in out]
    _, found = models_json_schema(sorted(asked, key=lambda pair: pair[0].__name__), ref_template=REF)
    payloads = json_schema(ref_template=REF)
    schemas: Document = {**found["$defs"], **payloads.pop("$defs")}
    return {**schemas, "AnyPayload": payloads}


def _operation(route: Route) -> Document:
    operation: Document = {
        "operationId": route.act.__name__ if "{" not in route.path else f"{route.act.__name__}_job",
        "summary": route.summary,
        "parameters": [*_path(route), *_query(route), *_headers(route)],
        "responses": {str(status): _response(model) for status, model in route.answers.items()},
    }
    problems = {*route.may, *ALWAYS, *(WITH_TOKEN if route.role else ())}
    problems |= {400, 413, 415, 422} if route.body else {422} if route.query else set()
    operation["responses"] |= {str(status): _problem() for status in sorted(problems)}
    if route.body:
        name = route.body if isinstance(route.body, str) else route.body.__name__
        operation["requestBody"] = {"required": True, "content": _content("application/json", name)}
    if route.role is None:
        operation["security"] = []
    else:
        operation["description"] = f"Takes the role {route.role}."
    return operation


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


def _response(model: type[BaseModel] | str | None) -> Document:
    if model is None:
        return {"description": "As it is said", "content": {}}
    if isinstance(model, str):
        return {"description": model, "content": {model: {"schema": {"type": "string"}}}}
    return {
        "description": (model.__doc__ or model.__name__).strip(),
        "content": _content("application/json", model.__name__),
    }


def _problem() -> Document:
    return {"description": "A problem (RFC 9457)", "content": _content(PROBLEM_TYPE, "Problem")}


def _content(kind: str, name: str) -> Document:
    return {kind: {"schema": {"$ref": REF.format(model=name)}}}
