"""What a job on an issue comes back with."""

from pydantic import BaseModel, Field, JsonValue


class IssueArtifacts(BaseModel):
    """`diff_url`: the change as a file, `s3://…`."""

    pull_request_url: str | None = None
    branch_name: str | None = None
    commit_hash: str | None = None
    files_changed: list[str] = Field(default_factory=list)
    comment_url: str | None = None
    diff_url: str | None = None


class IssueResult(BaseModel):
    """`execution_time`: seconds of the run that ended the job."""

    success: bool = True
    artifacts: IssueArtifacts = Field(default_factory=IssueArtifacts)
    error: str | None = None
    execution_time: float = 0.0
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
