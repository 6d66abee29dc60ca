"""`import_note`: a recipe out of an exported note into a database, one job a line."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import StringConstraints, model_validator

from shared.payloads.base import DatabaseRef, Payload
from shared.payloads.restore import ArtifactUrl
from shared.retry import Policy

HTML_BYTES_MAX: Final = 2 * 1024**2


class ImportNotePayload(Payload):
    """The note's HTML: as it is, or at a URL (`s3://`: a file of the tenant's own)."""

    policy: ClassVar[Policy] = Policy(timeout_s=60)

    type: Literal["import_note"] = "import_note"
    database: DatabaseRef
    html: Annotated[str, StringConstraints(min_length=1, max_length=HTML_BYTES_MAX // 4)] | None = None
    url: ArtifactUrl | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.html is None) == (self.url is None):
            raise ValueError("give either html or url")
        return self
