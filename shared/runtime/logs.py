"""Logs are event ids with fields, one JSON object a line; metrics are such lines too (CloudWatch's embedded format).

Nothing here may hold a payload, a secret or a connection URL with a password: `redacted` is for foreign messages.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Final

import structlog

NAMESPACE: Final = "Longshore"

FOREIGN: Final = ("reason", "exception")

_PASSWORD: Final = re.compile(
    r"(?P<before>(?<![a-z0-9+])[a-z0-9+]+://[^\s/:@]*:)[^\s@]+(?=@)|(?P<key>\bpassword\s*=\s*)\S+", re.IGNORECASE
)


def configure_logs(level: str | None = None, *, pretty: bool = False) -> None:
    """JSON lines on stdout at `level` (default: LONGSHORE_LOG_LEVEL or INFO); `pretty` for a person's terminal."""
    number = logging.getLevelNamesMapping()[(level or os.environ.get("LONGSHORE_LOG_LEVEL", "INFO")).upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_passwords,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
            if pretty
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr if pretty else sys.stdout),
        cache_logger_on_first_use=False,
    )


def _without_passwords(_logger: object, _method: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """Foreign words come as a `reason` or an `exception`."""
    foreign = {name: redacted(text) for name in FOREIGN if isinstance(text := event.get(name), str)}
    return {**event, **foreign}


def get_logger(**fields: object) -> structlog.stdlib.BoundLogger:
    """A logger bound with `fields`."""
    return structlog.get_logger(**fields)  # type: ignore[no-any-return]  # structlog types it by its configuration


def count(metric: str, *, stack: str | None = None, **fields: object) -> None:
    """Count one `metric` of this stack: CloudWatch reads it out of the log line, anybody else can grep it."""
    get_logger().warning(metric, **metrics({metric: "Count"}, stack=stack), **{metric: 1}, **fields)


def metrics(units: Mapping[str, str], *, stack: str | None = None, **dimensions: str) -> dict[str, object]:
    """Fields that make metrics of a log line's numbers, by the stack and by `dimensions`: of few values, never a
    tenant or a job. `units`: number → Count, Milliseconds …

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    values = {"stack": stack or os.environ.get("LONGSHORE_STACK", "longshore"), **dimensions}
    named = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    definition = {"Namespace": NAMESPACE, "Dimensions": [[*values]], "Metrics": named}
    moment = structlog.processors.TimeStamper(fmt=None)(None, "", {})["timestamp"]
    return {"_aws": {"Timestamp": int(moment * 1000), "CloudWatchMetrics": [definition]}, **values}


def redacted(text: str) -> str:
    """The same text without passwords in URLs or `password=` pairs."""
    return _PASSWORD.sub(lambda found: f"{found['before'] or found['key']}***", text)
