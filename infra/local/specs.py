"""The template's functions and their event sources as plain data: every number the local cloud runs by comes from here.

A property that is neither read nor known to mean nothing locally is refused by its path.
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.local.filters import Pattern, read_patterns
from infra.local.intrinsics import refused
from infra.local.template import Resource, Template

CONCURRENCY_MAX: Final = 1_000
"""What AWS allows an event source without a MaximumConcurrency of its own."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Whose tokens open a route: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html"""

    issuer: str
    audience: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueSource:
    """An SQS event source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""

    queue_arn: str
    batch_size: int
    window_s: int
    concurrency_max: int
    reports_items: bool


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A DynamoDB stream as event source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html

    `retries_max` and `record_age_max_s` are -1 for no limit. `on_failure_arn` is a queue's, a bucket's or "".
    """

    table: str
    from_beginning: bool
    batch_size: int
    window_s: int
    bisects: bool
    retries_max: int
    record_age_max_s: int
    reports_items: bool
    on_failure_arn: str
    tumbling_s: int = 0
    """Length of its tumbling windows; 0: none."""
    filters: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleSource:
    """`rate(…)`: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

    every_s: int


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A route of an HTTP API: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html

    `path` may end in `{proxy+}`, `method` may be ANY. `authorizer` None: open to anybody.
    """

    method: str
    path: str
    authorizer: Authorizer | None


@dataclass(frozen=True, slots=True)
class Cors:
    """Whose pages may call the HTTP API: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html"""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True)
class SocketSpec:
    """A WebSocket API: its stage, and which function (by name) each route is for.

    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-websocketapi.html
    """

    stage: str
    routes: Mapping[str, str]


Source = QueueSource | StreamSource | ScheduleSource | HttpSource


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    name: str
    handler: str
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]
    sources: tuple[Source, ...]


def functions(template: Template) -> list[FunctionSpec]:
    """Every AWS::Serverless::Function of the template. Raises InvalidInput for a source that has no local twin."""
    authorizer, mapped = _authorizer(template), template.of_type("AWS::Lambda::EventSourceMapping")
    return [_function(resource, authorizer, mapped) for resource in template.of_type("AWS::Serverless::Function")]


def cors(template: Template) -> Cors | None:
    """Of the stack's HTTP API; None: no page but its own may call it."""
    for api in template.of_type("AWS::Serverless::HttpApi"):
        settings = _Settings(api.properties, f"Resources.{api.logical_id}.Properties").of("CorsConfiguration")
        settings.allow("AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders", "MaxAge")
        if settings.values:
            return Cors(
                origins=tuple(settings.values.get("AllowOrigins", ())),
                methods=tuple(settings.values.get("AllowMethods", ())),
                headers=tuple(settings.values.get("AllowHeaders", ())),
                exposed=tuple(settings.values.get("ExposeHeaders", ())),
                max_age_s=settings.number("MaxAge", 0),
            )
    return None


def socket_api(template: Template) -> SocketSpec | None:
    """The template's WebSocket API. There is one at most."""
    for api in template.of_type("AWS::Serverless::WebSocketApi"):
        settings = _Settings(api.properties, f"Resources.{api.logical_id}.Properties")
        settings.allow("Name", "StageName", "RouteSelectionExpression", "Routes", "DefaultRouteSettings")
        routes = settings.of("Routes")
        names = {route: routes.of(route).text("FunctionArn").rsplit(":", 1)[-1] for route in routes.values}
        return SocketSpec(settings.text("StageName"), names)
    return None


def _function(resource: Resource, authorizer: Authorizer | None, mapped: Sequence[Resource]) -> FunctionSpec:
    settings = _Settings(resource.properties, f"Resources.{resource.logical_id}.Properties")
    variables = settings.of("Environment").of("Variables").values
    events = settings.of("Events")
    return FunctionSpec(
        name=resource.name,
        handler=settings.text("Handler"),
        timeout_s=settings.number("Timeout", 3),
        memory_mb=settings.number("MemorySize", 128),
        environment={name: str(value) for name, value in variables.items()},
        sources=(
            *(_source(events.of(name), authorizer) for name in events.values),
            *(_mapped_source(mapping) for mapping in mapped if mapping.properties.get("FunctionName") == resource.name),
        ),
    )


def _source(event: "_Settings", authorizer: Authorizer | None) -> Source:
    match event.text("Type"):
        case "SQS":
            return _queue_source(event.of("Properties"))
        case "DynamoDB":
            return _stream_source(event.of("Properties"))
        case "Schedule":
            return _schedule_source(event.of("Properties"))
        case "HttpApi":
            return _http_source(event.of("Properties"), authorizer)
        case other:
            raise refused(event.path, f"{other} events are not served locally")


def _mapped_source(mapping: Resource) -> QueueSource:
    """A queue's: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-eventsourcemapping.html"""
    settings = _Settings(mapping.properties, f"Resources.{mapping.logical_id}.Properties")
    if not settings.text("EventSourceArn").startswith("arn:aws:sqs:"):
        raise refused(f"{settings.path}.EventSourceArn", "expected the ARN of a queue: nothing else is served locally")
    return _queue_source(settings, "EventSourceArn", "FunctionName", "Tags")


def _queue_source(settings: "_Settings", queue: str = "Queue", *also: str) -> QueueSource:
    settings.allow(
        queue, *also, "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig"
    )
    return QueueSource(
        queue_arn=settings.text(queue),
        batch_size=settings.number("BatchSize", 10),
        window_s=settings.number("MaximumBatchingWindowInSeconds", 0),
        concurrency_max=settings.of("ScalingConfig").number("MaximumConcurrency", CONCURRENCY_MAX),
        reports_items=_reports_items(settings),
    )


def _stream_source(settings: "_Settings") -> StreamSource:
    settings.allow(
        "Stream", "StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "BisectBatchOnFunctionError",
        "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "FunctionResponseTypes", "DestinationConfig",
        "TumblingWindowInSeconds", "FilterCriteria",
    )  # fmt: skip
    return StreamSource(
        table=settings.text("Stream").split("/")[1],
        from_beginning=settings.text("StartingPosition") == "TRIM_HORIZON",
        batch_size=settings.number("BatchSize", 100),
        window_s=settings.number("MaximumBatchingWindowInSeconds", 0),
        bisects=bool(settings.values.get("BisectBatchOnFunctionError")),
        retries_max=settings.number("MaximumRetryAttempts", -1),
        record_age_max_s=settings.number("MaximumRecordAgeInSeconds", -1),
        reports_items=_reports_items(settings),
        on_failure_arn=_destination(settings.of("DestinationConfig").of("OnFailure")),
        tumbling_s=settings.number("TumblingWindowInSeconds", 0),
        filters=read_patterns(
            settings.of("FilterCriteria").values.get("Filters", []), f"{settings.path}.FilterCriteria.Filters"
        ),
    )


def _schedule_source(settings: "_Settings") -> ScheduleSource:
    settings.allow("Schedule", "Description")
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", settings.text("Schedule"))
    if found is None:
        raise refused(f"{settings.path}.Schedule", "expected rate(…): nothing else is served locally")
    return ScheduleSource(int(found[1]) * {"minute": 60, "hour": 3600, "day": 86_400}[found[2]])


def _http_source(settings: "_Settings", default: Authorizer | None) -> HttpSource:
    settings.allow("ApiId", "Path", "Method", "Auth")
    is_open = settings.of("Auth").values.get("Authorizer") == "NONE"
    return HttpSource(settings.text("Method").upper(), settings.text("Path"), None if is_open else default)


def _authorizer(template: Template) -> Authorizer | None:
    """The one that guards every route of the stack's API which does not say otherwise. There is one API at most."""
    for api in template.of_type("AWS::Serverless::HttpApi"):
        auth = _Settings(api.properties, f"Resources.{api.logical_id}.Properties").of("Auth")
        jwt = auth.of("Authorizers").of(auth.text("DefaultAuthorizer")).of("JwtConfiguration")
        audience = jwt.values.get("audience", [])
        return Authorizer(jwt.text("issuer"), tuple(audience if isinstance(audience, list) else [audience]))
    return None


def _destination(settings: "_Settings") -> str:
    if not settings.values:
        return ""
    arn = settings.text("Destination")
    if not arn.startswith(("arn:aws:s3:", "arn:aws:sqs:")):
        raise refused(f"{settings.path}.Destination", "expected the ARN of a queue or a bucket")
    return arn


def _reports_items(settings: "_Settings") -> bool:
    return "ReportBatchItemFailures" in settings.values.get("FunctionResponseTypes", [])


@dataclass(frozen=True, slots=True)
class _Settings:
    """A mapping of the template that knows its path."""

    values: Mapping[str, Any]
    path: str

    def of(self, name: str) -> "_Settings":
        values = self.values.get(name, {})
        if not isinstance(values, dict):
            raise refused(f"{self.path}.{name}", "expected a mapping")
        return _Settings(values, f"{self.path}.{name}")

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            raise refused(f"{self.path}.{name}", "expected a text")
        return value

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError) as error:
            raise refused(f"{self.path}.{name}", "expected a whole number") from error

    def allow(self, *names: str) -> None:
        if unknown := self.values.keys() - {*names}:
            raise refused(f"{self.path}.{min(unknown)}", "this setting has no local twin")
