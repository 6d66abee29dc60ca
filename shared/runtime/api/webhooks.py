"""The routes of webhooks. All take an operator: an address may itself be a secret of the receiver's."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.errors import InvalidInput
from shared.payloads import open_types
from shared.ports import Ports
from shared.runtime import webhooks
from shared.runtime.api.app import Call, Route
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.webhooks import URL_CHARACTERS_MAX, EventName, Subscription


class WebhookAsk(BaseModel):
    """`types` empty: of every type. `queued`, `active` and `progress` may come often; those of the default are how jobs
    end."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(min_length=1, max_length=URL_CHARACTERS_MAX)]
    events: Annotated[list[EventName], Field(min_length=1)] = ["completed", "failed", "cancelled"]
    types: Annotated[list[str], Field(max_length=64)] = []


class WebhookSecret(Subscription):
    """With the secret, which is shown this once."""

    secret: str


class Webhooks(BaseModel):
    webhooks: list[Subscription]


class Deliveries(BaseModel):
    """The last attempts, newest first: of a week, up to 50."""

    deliveries: list[webhooks.Delivery]


class Pinged(BaseModel):
    delivery_id: str


async def create_webhook(call: Call) -> Answer:
    ask = call.body(WebhookAsk)
    if set(ask.types) - open_types().keys():
        raise InvalidInput("no_such_type", f"one of {', '.join(open_types())}", field="types")
    tenant_id, who = call.caller.tenant_id, call.caller.who
    made, secret = await webhooks.subscribe(call.ports, tenant_id, ask.url, ask.events, ask.types, who=who)
    shown = WebhookSecret(**dict(made), secret=secret)
    return answer_json(201, shown, {"Location": f"/webhooks/{made.webhook_id}"})


async def list_webhooks(call: Call) -> Answer:
    found = await webhooks.subscriptions(call.ports, call.caller.tenant_id)
    return answer_json(200, Webhooks(webhooks=list(found)))


async def get_webhook(call: Call) -> Answer:
    return answer_json(200, await webhooks.subscription(*_whose(call)))


async def delete_webhook(call: Call) -> Answer:
    await webhooks.unsubscribe(*_whose(call))
    return Answer(204)


async def rotate_webhook(call: Call) -> Answer:
    found, secret = await webhooks.rotate(*_whose(call))
    return answer_json(200, WebhookSecret(**dict(found), secret=secret))


async def enable_webhook(call: Call) -> Answer:
    return answer_json(200, await webhooks.enable(*_whose(call)))


async def ping_webhook(call: Call) -> Answer:
    return answer_json(202, Pinged(delivery_id=await webhooks.ping(*_whose(call))))


async def list_webhook_deliveries(call: Call) -> Answer:
    return answer_json(200, Deliveries(deliveries=list(await webhooks.attempts(*_whose(call)))))


def _whose(call: Call) -> tuple[Ports, str, str]:
    return call.ports, call.caller.tenant_id, call.path["webhook_id"]


Act = Callable[[Call], Awaitable[Answer]]
Answers = Mapping[int, type[BaseModel] | None]


def _route(method: str, path: str, act: Act, answers: Answers, summary: str, *may: int) -> Route:
    where = f"/webhooks{path}"
    body = WebhookAsk if act is create_webhook else None
    return Route(
        method=method, path=where, summary=summary, role=Role.OPERATOR, act=act, body=body, answers=answers, may=may
    )


ONE: Final = "/{webhook_id}"

ROUTES: Final = (
    _route("POST", "", create_webhook, {201: WebhookSecret}, "Have a URL told of events, and get its secret", 409),
    _route("GET", "", list_webhooks, {200: Webhooks}, "The tenant's webhooks"),
    _route("GET", ONE, get_webhook, {200: Subscription}, "A webhook, and why it is disabled if it is", 404),
    _route("DELETE", ONE, delete_webhook, {204: None}, "Tell it nothing more, and forget its secret", 404),
    _route(
        "POST", f"{ONE}/rotate", rotate_webhook, {200: WebhookSecret}, "A new secret; the old signs for a day", 404, 409
    ),
    _route("POST", f"{ONE}/enable", enable_webhook, {200: Subscription}, "Tell it again, after it was disabled", 404),
    _route("POST", f"{ONE}/ping", ping_webhook, {202: Pinged}, "Send it an event that means nothing", 404, 409),
    _route("GET", f"{ONE}/deliveries", list_webhook_deliveries, {200: Deliveries}, "The last 50 attempts", 404),
)
