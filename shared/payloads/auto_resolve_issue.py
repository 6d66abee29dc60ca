"""`auto_resolve_issue`: `resolve_issue` in several tries, each told what was wrong with the one before."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.lanes import Priority
from shared.payloads.base import Strict
from shared.payloads.comment_on_issue import IssuePayload


class AutoResolveOptions(Strict):
    """`max_attempts`: tries of the model. `priority`: the job's own, where the payload names none."""

    create_pr: bool = True
    post_to_github: bool = True
    allow_ci_files: bool = False
    run_ci: bool = False
    max_attempts: Annotated[int, Field(ge=1, le=5)] = 3
    priority: Priority | None = None


class AutoResolveIssuePayload(IssuePayload):
    type: Literal["auto_resolve_issue"] = "auto_resolve_issue"
    options: AutoResolveOptions = Field(default_factory=AutoResolveOptions)

    @model_validator(mode="before")
    @classmethod
    def _with_its_priority(cls, document: object) -> object:
        """The lane is chosen by the payload's own field."""
        options = document.get("options") if isinstance(document, dict) else None
        said = options.get("priority") if isinstance(options, dict) else getattr(options, "priority", None)
        return {"priority": said, **document} if isinstance(document, dict) and said is not None else document
