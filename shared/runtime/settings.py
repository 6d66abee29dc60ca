"""What the environment says, read once: the template sets these variables for every function."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """`stack` names every resource; `bucket` and `schedule_role_arn` come from the template where they are needed.

    `endpoint_url`, `region` and `credentials` None: as botocore finds them (`AWS_ENDPOINT_URL`, profiles, roles …).
    """

    stack: str = "longshore"
    bucket: str | None = None
    schedule_role_arn: str | None = None
    lanes: frozenset[str] | None = None
    """The job types that have lanes; None: SQS is asked."""
    endpoint_url: str | None = None
    region: str | None = None
    credentials: tuple[str, str] | None = None
    training_role_arn: str = ""
    training_models: frozenset[str] = frozenset()
    connections_url: str | None = None
    """Where WebSocket connections are written to: https://{api}.execute-api.{region}.amazonaws.com/{stage}"""


LOCAL = Settings(endpoint_url="http://127.0.0.1:4599", region="us-east-1", credentials=("local", "local"))
"""What `longshore up` starts: an endpoint that checks no credentials."""


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        stack=environ.get("LONGSHORE_STACK", "longshore"),
        bucket=environ.get("LONGSHORE_BUCKET"),
        schedule_role_arn=environ.get("LONGSHORE_SCHEDULE_ROLE_ARN"),
        lanes=_names(environ.get("LONGSHORE_LANES")),
        training_role_arn=environ.get("LONGSHORE_TRAINING_ROLE_ARN", ""),
        training_models=_names(environ.get("LONGSHORE_TRAINING_MODELS")) or frozenset(),
        connections_url=environ.get("LONGSHORE_CONNECTIONS_URL"),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),  # botocore reads the second alone
    )


def _names(listed: str | None) -> frozenset[str] | None:
    return None if listed is None else frozenset(filter(None, listed.split(",")))
