"""Every job type's payload, and the one union of them. Light on purpose: no job's heavy libraries are imported here.

Adding a type: a file here, its name in the union below, a file in `handlers/jobs/`, an entry in `template.yaml`.
"""

from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Final, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.json_schema import DEFAULT_REF_TEMPLATE

from shared.errors import InvalidInput, Problem
from shared.payloads.auto_resolve_issue import AutoResolveIssuePayload
from shared.payloads.backup import BackupPayload
from shared.payloads.base import SHAPES, Payload
from shared.payloads.bulk_import import BulkImportPayload
from shared.payloads.cancel_children import CancelChildrenPayload
from shared.payloads.categorize import CategorizePayload
from shared.payloads.comment_on_issue import CommentOnIssuePayload
from shared.payloads.data_sync import DataSyncPayload
from shared.payloads.download import DownloadPayload
from shared.payloads.extract import ExtractPayload
from shared.payloads.fine_tuning import FineTuningPayload
from shared.payloads.flow import FlowPayload
from shared.payloads.format_instruction import FormatInstructionPayload
from shared.payloads.generic import GenericPayload
from shared.payloads.http_request import HttpRequestPayload
from shared.payloads.import_note import ImportNotePayload
from shared.payloads.mail_event import MailEventPayload
from shared.payloads.parse_ingredient import ParseIngredientPayload
from shared.payloads.redrive import RedrivePayload
from shared.payloads.report import ReportPayload
from shared.payloads.resolve_issue import ResolveIssuePayload
from shared.payloads.restore import RestorePayload
from shared.payloads.send_email import SendEmailPayload
from shared.payloads.stop_training import StopTrainingPayload
from shared.payloads.transcode import TranscodePayload
from shared.payloads.upload import UploadPayload
from shared.payloads.webhook import WebhookPayload

AnyPayload = Annotated[
    AutoResolveIssuePayload
    | BackupPayload
    | BulkImportPayload
    | CancelChildrenPayload
    | CategorizePayload
    | CommentOnIssuePayload
    | DataSyncPayload
    | DownloadPayload
    | ExtractPayload
    | FineTuningPayload
    | FlowPayload
    | FormatInstructionPayload
    | GenericPayload
    | HttpRequestPayload
    | ImportNotePayload
    | MailEventPayload
    | ParseIngredientPayload
    | RedrivePayload
    | ReportPayload
    | ResolveIssuePayload
    | RestorePayload
    | SendEmailPayload
    | StopTrainingPayload
    | TranscodePayload
    | UploadPayload
    | WebhookPayload,
    Field(discriminator="type"),
]

TYPES: Final[dict[str, type[Payload]]] = {
    model.model_fields["type"].default: model for model in get_args(get_args(AnyPayload)[0])
}
"""job type → its payload model; the test kit adds those of its user"""


def open_types() -> dict[str, type[Payload]]:
    """Those that a producer may submit, by name."""
    return {name: TYPES[name] for name in sorted(TYPES) if not TYPES[name].internal}


WORDS: Final = {
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    "union_tag_invalid": f"one of {', '.join(open_types())}",
    "union_tag_not_found": f"is required: one of {', '.join(open_types())}",
}
"""Ours for what pydantic says in words of its own."""


def read_payload(document: str | bytes) -> Payload:
    """One JSON document → its payload. Raises InvalidInput naming every wrong field and what was expected there."""
    try:
        return _adapter(*open_types().values()).validate_json(document)
    except ValidationError as error:
        raise invalid(error) from None


def read_stored(job_type: str, document: str | bytes) -> Payload:
    """The same of a known type, which no door needs to take: of a row of ours."""
    try:
        return TYPES[job_type].model_validate_json(document)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidInput:
    """Pydantic's report as ours: paths as the producer wrote them, never the rejected value (it may be a secret)."""
    found = error.errors(include_input=False, include_url=False)
    problems = tuple(
        Problem(_path(item["loc"], item["type"]), _expected(item["type"], item.get("ctx", {}), item["msg"]))
        for item in found
    )
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidInput("invalid_payload", f"{first.expected}{more}", field=first.field, problems=problems)


def json_schema(ref_template: str = DEFAULT_REF_TEMPLATE) -> dict[str, Any]:  # Any: a JSON Schema is what it says it is
    """The JSON Schema of the union, for `longshore types` and the HTTP API."""
    return _adapter(*open_types().values()).json_schema(ref_template=ref_template)


def _expected(kind: str, context: Mapping[str, object], message: str) -> str:
    return SHAPES.get(str(context.get("pattern"))) or WORDS.get(kind) or message.removeprefix("Value error, ")


def _path(location: tuple[str | int, ...], kind: str) -> str:
    """pydantic puts the discriminator's value first; the producer never wrote that."""
    if not location and kind in {"union_tag_invalid", "union_tag_not_found"}:
        return "type"
    parts = location[1:] if location and location[0] in TYPES else location
    return ".".join(str(part) for part in parts) or "(the document)"


@cache
def _adapter(*models: type[Payload]) -> TypeAdapter[Payload]:
    """Of the union of them all."""
    return TypeAdapter(Annotated[reduce(or_, models), Field(discriminator="type")])  # type: ignore[arg-type]  # made here


_adapter(*open_types().values())  # while a function starts, not in its first invocation
