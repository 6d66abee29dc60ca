"""The API as commands ask it, whoever carries the question.

Here    the API's own code in this process, on the stack's ports: AWS credentials open it
Http    a deployed API (`http_client.py`): a token opens it

A command cannot tell them apart, and a stack that nobody gave an API has the same commands.
"""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from http.client import responses
from typing import Final, Protocol, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from infra.cli.asking import path_of
from infra.cli.fields import unknown_type
from infra.cli.places import Document
from shared.errors import Conflict, InvalidInput, LongshoreError, NotFound, WorldFault
from shared.errors import Problem as Wrong
from shared.estimate import Estimate
from shared.flow_view import FlowView
from shared.payloads.results import ErrorBody, Response
from shared.ports import Ports
from shared.runtime.api.app import Api
from shared.runtime.api.jobs import Accepted, Failures, Link, PayloadView, Result, Why
from shared.runtime.api.many import ErrorGroups, JobList
from shared.runtime.api.messages import JSON_TYPE, Answer, Caller, Request
from shared.runtime.api.problems import ProblemDetails
from shared.runtime.api.routes import ROUTES
from shared.runtime.api.system import Ticket, Types
from shared.view import JobView

Words = Mapping[str, str | int | float | None]
"""Of a query string; what is None is not said."""

M = TypeVar("M", bound=BaseModel)

PAGE: Final = 100

KINDS: Final[Mapping[int, type[LongshoreError]]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.BAD_REQUEST: InvalidInput,
    HTTPStatus.METHOD_NOT_ALLOWED: InvalidInput,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidInput,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: InvalidInput,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidInput,
}
"""What a problem's status means here; all others: WorldFault."""


class Carrier(Protocol):
    """`is_live`: is there a WebSocket API to hear of changes from?"""

    is_live: bool

    async def send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """`headers` by lower-case name. Raises WorldFault if nobody answers."""
        ...

    def stream(self, link: Link) -> AsyncIterator[bytes]:
        """The bytes of what a result links to. Raises NotFound if it is gone."""
        ...


class Here:
    """The API in this process, as `caller`."""

    def __init__(self, ports: Ports, caller: Caller, *, live_url: str = "") -> None:
        self.is_live = bool(live_url)
        self._objects = ports.objects
        self._api = Api(ROUTES, ports, _no_limit, live_url=live_url)
        self._caller = caller

    async def send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        return await self._api.answer(Request(method, path, query, headers, body, self._caller))

    def stream(self, link: Link) -> AsyncIterator[bytes]:
        return self._objects.stream(link.url.removeprefix(f"s3://{self._objects.bucket}/"))


async def _no_limit(_caller: Caller) -> None:
    """Whoever has the stack's credentials is not held to a tenant's limit."""


class Nothing(BaseModel):
    """What an answer without a body says."""


class Jobs:
    """One tenant's jobs. Methods raise NotFound, Conflict, InvalidInput and WorldFault, as the API's problems say."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.is_live = carrier.is_live
        self.stream = carrier.stream

    async def submit(self, payload: Document, *, key: str | None = None, delay_s: float = 0.0) -> Accepted:
        headers = {} if key is None else {"idempotency-key": key}
        return await self.ask(Accepted, "POST", "/jobs", {"delay_s": delay_s}, document=payload, headers=headers)

    async def get(self, job_id: str) -> JobView:
        return await self.ask(JobView, "GET", path_of("job", job_id))

    async def payload(self, job_id: str) -> PayloadView:
        return await self.ask(PayloadView, "GET", path_of("job", job_id, "payload"))

    async def failures(self, job_id: str) -> list[ErrorBody]:
        return (await self.ask(Failures, "GET", path_of("job", job_id, "errors"))).errors

    async def flow(self, job_id: str) -> FlowView:
        return await self.ask(FlowView, "GET", path_of("job", job_id, "flow"))

    async def estimate(self, payload: Document, assumed: Words) -> Estimate:
        return await self.ask(Estimate, "POST", "/estimates", assumed, document=payload)

    async def why(self, job_id: str) -> Why:
        return await self.ask(Why, "GET", path_of("job", job_id, "why"))

    async def result(self, job_id: str) -> Result:
        """Whole: what was too large for an answer is fetched."""
        result = await self.ask(Result, "GET", path_of("job", job_id, "result"))
        whole = next((link for link in result.links if link.url.endswith("/_result.json")), None)
        if whole is None or result.data.result is not None:
            return result
        body = b"".join([chunk async for chunk in self.stream(whole)])
        return Result(**dict(Response.model_validate_json(body)), links=result.links)

    async def cancel(self, job_id: str) -> JobView:
        return await self.ask(JobView, "POST", path_of("job", job_id, "cancel"))

    async def redrive(self, job_id: str, *, delay_s: float = 0.0) -> JobView:
        return await self.ask(JobView, "POST", path_of("job", job_id, "redrive"), {"delay_s": delay_s})

    async def canary(self, wanted: Document, *, rate_per_s: float) -> Accepted:
        """One of these is run again, then ten, then all. → the job that does it"""
        document: Document = {"filter": wanted, "canary": True, "rate_per_s": rate_per_s}
        return await self.ask(Accepted, "POST", "/bulk/redrive", document=document)

    async def list(self, wanted: Words, *, limit: int = PAGE, cursor: str | None = None) -> JobList:
        return await self.ask(JobList, "GET", "/jobs", {**wanted, "limit": limit, "cursor": cursor})

    async def all(self, wanted: Words) -> AsyncIterator[JobView]:
        """Every page of the list."""
        cursor, goes_on = None, True
        while goes_on:
            page = await self.list(wanted, cursor=cursor)
            for job in page.jobs:
                yield job
            cursor, goes_on = page.cursor, page.cursor is not None

    async def errors(self, wanted: Words) -> ErrorGroups:
        return await self.ask(ErrorGroups, "GET", "/errors", wanted)

    async def types(self) -> Types:
        return await self.ask(Types, "GET", "/types")

    async def known(self, job_type: str | None) -> None:
        """Raises InvalidInput that names the types, if there is no such one."""
        if job_type and job_type not in (known := [one.type for one in (await self.types()).types]):
            raise unknown_type(job_type, known)

    async def live_url(self) -> str:
        """Opens the WebSocket API once, within a minute."""
        return (await self.ask(Ticket, "POST", "/tickets")).url

    async def ask(
        self,
        model: type[M],
        method: str,
        path: str,
        query: Words | None = None,
        *,
        document: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> M:
        said = {name: str(value) for name, value in (query or {}).items() if value is not None}
        body, kind = (b"", {}) if document is None else (to_json(document), {"content-type": JSON_TYPE})
        answer = await self._carrier.send(method, path, said, body, {**kind, **(headers or {})})
        if not 200 <= answer.status < 300:
            raise _error(answer)
        try:
            return model.model_validate_json(answer.body or b"{}")
        except ValueError:
            raise WorldFault("strange_answer", f"{method} {path} was not answered as Longshore does") from None


def _error(answer: Answer) -> LongshoreError:
    """A problem document as what it stands for; a gateway in front of the API has its own."""
    try:
        problem = ProblemDetails.model_validate_json(answer.body)
    except ValueError:
        phrase = responses.get(answer.status, f"status {answer.status}")
        return WorldFault(phrase.lower().replace(" ", "_"), f"the API answers {answer.status} {phrase}")
    kind = KINDS.get(answer.status, WorldFault)
    if kind is InvalidInput:
        wrong = tuple(Wrong(one.field, one.expected) for one in problem.problems or ())
        return InvalidInput(problem.code, problem.detail, field=problem.field, problems=wrong)
    return kind(problem.code, problem.detail, field=problem.field)
