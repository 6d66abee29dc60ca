"""`restore`: what `backup` made (its manifest), or one table's data file, into a database."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from shared.payloads.base import DatabaseRef, Encryption, Payload, Strict, Tables, refuse_user_info, shaped
from shared.retry import Policy

ArtifactUrl = Annotated[
    str, shaped(r"^(s3|https)://[^\s]+$", "an s3:// or https:// URL", max_length=2048), AfterValidator(refuse_user_info)
]


class RestoreOptions(Strict):
    """`overwrite` replaces tables that exist; `verify` (written `validate`) checks checksums, counts and rows first;
    `skip_errors` collects bad rows instead of failing; `timeout` (seconds) and `retry_attempts` override the policy."""

    overwrite: bool = False
    verify: bool = Field(default=True, validation_alias="validate", serialization_alias="validate")
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    timeout: Annotated[int, Field(ge=1, le=300)] | None = None
    retry_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    skip_errors: bool = False
    compression: Literal["none", "gzip", "bzip2", "zstd"] | None = None
    encryption: Encryption = Encryption()


class RestorePayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["restore"] = "restore"
    backup_url: ArtifactUrl
    database: DatabaseRef
    tables: Tables | None = None
    options: RestoreOptions = Field(default_factory=RestoreOptions)

    def effective_policy(self) -> Policy:
        return replace(
            self.policy,
            timeout_s=self.options.timeout or self.policy.timeout_s,
            attempts_max=self.options.retry_attempts or self.policy.attempts_max,
        )
