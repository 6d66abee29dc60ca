"""Errors as problem details (RFC 9457): every error of the API is one, with the same fields.

Refusal        its own status: 400, 401, 403, 404, 405, 413, 415, 429
NotFound       404    the same for what is another tenant's as for what nobody has
Conflict       409
InvalidInput   422    `problems` names every field and what was expected there
WorldFault     503    AWS let us down: try again
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel

from shared.errors import Conflict, InvalidInput, LongshoreError, NotFound, WorldFault
from shared.errors import Problem as Found
from shared.runtime.api.messages import Answer

PROBLEM_TYPE: Final = "application/problem+json"

RETRY_AFTER_S: Final = 5

PROBLEMS_MAX: Final = 50
FIELD_CHARACTERS_MAX: Final = 200
"""A hostile body has a hundred thousand unknown fields, or one whose name is megabytes long; an answer has 6 MB."""


class Refusal(LongshoreError):
    """The API itself refuses a request, before any job is touched."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(code, message)
        self.status = status
        self.headers = headers


class FieldProblem(BaseModel):
    field: str
    expected: str


class ProblemDetails(BaseModel):
    """https://www.rfc-editor.org/rfc/rfc9457; `type` is a URN of the stable `code`, `instance` names the request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    field: str | None = None
    problems: list[FieldProblem] | None = None


STATUS: Final[Mapping[type[LongshoreError], int]] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    WorldFault: HTTPStatus.SERVICE_UNAVAILABLE,
}

TOO_LARGE: Final = frozenset({"payload_too_large", "too_large"})


def problem_answer(error: LongshoreError, request_id: str) -> Answer:
    status, headers = _status(error)
    found = error.problems if isinstance(error, InvalidInput) else ()
    document = ProblemDetails(
        type=f"urn:longshore:problem:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        instance=f"urn:request:{request_id}" if request_id else None,
        code=error.code,
        field=error.field and error.field[:FIELD_CHARACTERS_MAX],
        problems=[_field_problem(one) for one in found[:PROBLEMS_MAX]] or None,
    )
    body = document.model_dump_json(exclude_none=True).encode()
    return Answer(status, body, {"Content-Type": PROBLEM_TYPE, **headers})


def _field_problem(found: Found) -> FieldProblem:
    return FieldProblem(field=found.field[:FIELD_CHARACTERS_MAX], expected=found.expected)


def _status(error: LongshoreError) -> tuple[int, Mapping[str, str]]:
    if isinstance(error, Refusal):
        return error.status, error.headers
    if isinstance(error, InvalidInput) and error.code in TOO_LARGE:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
    return status, {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
