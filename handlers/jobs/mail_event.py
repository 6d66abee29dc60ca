"""`mail_event`: a mail that bounced, was complained about or was rejected, as SES tells of it. The address is noted."""

from shared.mail.bounces import note
from shared.payloads.mail_event import MailEventPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(MailEventPayload)
async def mail_event(payload: MailEventPayload, context: Context) -> ProcessResult:
    """From now on `send_email` refuses these addresses, to this tenant."""
    event, lost = payload.detail, payload.lost
    await note(context.ports, context.tenant_id, lost)
    context.progress(len(lost), message=f"{event.event_type} of a mail by {payload.sent_by}")
    return ProcessResult(
        status="success" if lost else "no-op",
        records_processed=len(lost),
        data={"event": event.event_type, "message_id": event.mail.message_id, "sent_by": payload.sent_by},
    )


handler = mail_event.lambda_handler
