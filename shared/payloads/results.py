"""What comes back: one result shape from handlers, one response document for whoever fetches it.

The result document of a job (`…/_result.json`) is a `Response`; `Response.data.result` is what its handler returned.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class RowError(BaseModel):
    """One row that was left out: where it stood (`row` by number, or the `line` it begins on, from 1) and why."""

    model_config = ConfigDict(frozen=True)

    table: str
    row: int | None = None
    line: int | None = None
    field: str | None = None
    code: str
    message: str


class Artifact(BaseModel):
    """One stored file: `url` is `s3://bucket/key`; fetch it with `longshore result` or any S3 client."""

    model_config = ConfigDict(frozen=True)

    url: str
    size_bytes: int
    records: int | None = None
    sha256: str | None = None


class ProcessResult(BaseModel):
    """What a handler did. `duration` in seconds."""

    status: Literal["success", "error", "no-op"] = "success"
    data: dict[str, JsonValue] = Field(default_factory=dict)
    error: str | None = None
    records_processed: int = 0
    tables_processed: int = 0
    duration: float = 0.0
    artifact: Artifact | None = None


class ErrorBody(BaseModel):
    """Why a job failed, or one thing that went wrong in it. `at` is RFC 3339."""

    code: str
    message: str
    field: str | None = None
    attempt: int | None = None
    at: str | None = None
    trace: str | None = None


class ResponseData(BaseModel):
    job_id: str
    type: str
    result: JsonValue = None
    details: dict[str, JsonValue] = Field(default_factory=dict)
    payload: JsonValue = None


class Response(BaseModel):
    """The one answer of every job: {success, data {job_id, type, result, details, payload}, error}."""

    success: bool
    data: ResponseData
    error: ErrorBody | None = None
