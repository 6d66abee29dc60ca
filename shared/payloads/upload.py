"""`upload`: some of the tenant's files, together in one folder, or to somewhere else."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.payloads.base import Payload, refuse_user_info, shaped
from shared.payloads.download import MediaType
from shared.payloads.extract import OutputPath
from shared.payloads.transcode import StoredUrl
from shared.retry import Policy

PutUrl = Annotated[
    str, shaped(r"^https://[^\s]+$", "a presigned https:// URL", max_length=4096), AfterValidator(refuse_user_info)
]


class UploadPayload(Payload):
    """`destination`: a folder among the job's own files, or a presigned PUT URL for each source, in their order."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["upload"] = "upload"
    sources: Annotated[tuple[StoredUrl, ...], Field(min_length=1, max_length=100)]
    destination: OutputPath | tuple[PutUrl, ...] = "files"
    content_type: MediaType | None = None

    @model_validator(mode="after")
    def _a_place_for_each(self) -> Self:
        if isinstance(self.destination, tuple) and len(self.destination) != len(self.sources):
            raise ValueError("destination must be a folder, or as many PUT URLs as there are sources")
        return self
