"""What the environment says, read once: the template sets these variables for every function."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """`stack` names every resource; `bucket` and `schedule_role_arn` come from the template where they are needed.

    `endpoint_url`, `region` and `credentials` None: as botocore finds them (`AWS_ENDPOINT_URL`, `AWS_REGION` …).
    """

    stack: str = "longshore"
    bucket: str | None = None
    schedule_role_arn: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    credentials: tuple[str, str] | None = None


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        stack=environ.get("LONGSHORE_STACK", "longshore"),
        bucket=environ.get("LONGSHORE_BUCKET"),
        schedule_role_arn=environ.get("LONGSHORE_SCHEDULE_ROLE_ARN"),
    )
