"""The template's functions and their event sources as plain data: every number the local cloud runs by comes from here.

A property that is neither read nor known to mean nothing locally is refused by its path.
https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.local.intrinsics import refused
from infra.local.template import Resource, Template

CONCURRENCY_MAX: Final = 1_000
"""What AWS allows an event source without a MaximumConcurrency of its own."""


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


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    name: str
    handler: str
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]
    sources: tuple[QueueSource | StreamSource, ...]


def functions(template: Template) -> list[FunctionSpec]:
    """Every AWS::Serverless::Function of the template. Raises InvalidInput for a source that has no local twin."""
    return [_function(resource) for resource in template.of_type("AWS::Serverless::Function")]


def _function(resource: Resource) -> FunctionSpec:
    settings = _Settings(resource.properties, f"Resources.{resource.logical_id}.Properties")
    variables = settings.of("Environment").of("Variables").values
    events = settings.of("Events")
    return FunctionSpec(
        name=resource.name,
        handler=settings.text("Handler"),
        timeout_s=settings.number("Timeout", 3),
        memory_mb=settings.number("MemorySize", 128),
        environment={name: str(value) for name, value in variables.items()},
        sources=tuple(_source(events.of(name)) for name in events.values),
    )


def _source(event: "_Settings") -> QueueSource | StreamSource:
    match event.text("Type"):
        case "SQS":
            return _queue_source(event.of("Properties"))
        case "DynamoDB":
            return _stream_source(event.of("Properties"))
        case other:
            raise refused(event.path, f"{other} events are not served locally")


def _queue_source(settings: "_Settings") -> QueueSource:
    settings.allow("Queue", "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ScalingConfig")
    return QueueSource(
        queue_arn=settings.text("Queue"),
        batch_size=settings.number("BatchSize", 10),
        window_s=settings.number("MaximumBatchingWindowInSeconds", 0),
        concurrency_max=settings.of("ScalingConfig").number("MaximumConcurrency", CONCURRENCY_MAX),
        reports_items=_reports_items(settings),
    )


def _stream_source(settings: "_Settings") -> StreamSource:
    settings.allow(
        "Stream", "StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "BisectBatchOnFunctionError",
        "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "FunctionResponseTypes", "DestinationConfig",
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
    )


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
