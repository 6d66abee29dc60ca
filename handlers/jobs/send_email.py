"""`send_email`: one mail by Amazon SES, from templates of your own, with files of yours.

SES has no idempotency token, so a worker that dies while it waits for SES's answer leaves a question. `at_most_once`:
a mark is written before the mail is handed over, and whoever finds it without an answer does not send again.
"""

import os
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from shared.errors import Permanent, Transient, WorldFault
from shared.mail.bounces import forget, noted
from shared.mail.compose import File, composed
from shared.payloads.download import file_name
from shared.payloads.mail_event import JOB_TAG
from shared.payloads.results import ProcessResult
from shared.payloads.send_email import SendEmailPayload
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.patient import patient

SENDER: Final = "LONGSHORE_EMAIL_FROM"
ATTACHED_BYTES_MAX: Final = 20 * 1024**2
"""SES takes 40 MB, of Base64: https://docs.aws.amazon.com/ses/latest/dg/quotas.html"""

TAG: Final = re.compile(r"[A-Za-z0-9_-]+")
"""https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html"""

Look = Callable[[], Awaitable[None]]
Send = Callable[[str], Awaitable[str]]


@job(SendEmailPayload)
@patient
async def send_email(payload: SendEmailPayload, context: Context) -> ProcessResult:
    """SUCCESS: SES has taken it. What becomes of it then, SES tells by events of its own."""
    sender = os.environ.get(SENDER, "")
    if not sender:
        raise Permanent("email_off", f"this stack sends no mail: its parameter EmailFrom ({SENDER}) is empty")
    mail = composed(payload, sender, await _files(payload, context))
    look, send = partial(_look_for_bounces, payload, context), partial(_sent, payload, context, mail, sender)
    careful = _again if payload.delivery == "at_least_once" else partial(_marked, context)
    message_id = await context.once("send", partial(careful, look, send))
    return ProcessResult(data={"message_id": message_id, "size_bytes": len(mail)})


async def _files(payload: SendEmailPayload, context: Context) -> list[File]:
    files: list[File] = []
    left_bytes = ATTACHED_BYTES_MAX
    for number, attachment in enumerate(payload.attachments):
        body = bytearray()
        async for chunk in context.artifacts.read(attachment.url, field=f"attachments.{number}.url"):
            body += chunk
            if len(body) > left_bytes:
                message = f"more than {ATTACHED_BYTES_MAX:,} bytes in all: send a link instead"
                raise Permanent("too_large", message, field=f"attachments.{number}.url")
        left_bytes -= len(body)
        name = attachment.name or file_name(attachment.url)
        files.append(File(name, attachment.content_type, bytes(body)))
    return files


async def _sent(payload: SendEmailPayload, context: Context, mail: bytes, sender: str, _key: str) -> str:
    """→ SES's id. A refusal that names an address is told of that address' field."""
    try:
        recipients = [address for _, address in payload.recipients]
        tags = {
            name: value
            for name, value in (("tenant_id", context.tenant_id), (JOB_TAG, context.job_id))
            if TAG.fullmatch(value)
        }
        return await context.ports.mail.send(mail, sender=sender, recipients=recipients, tags=tags)
    except Permanent as refusal:
        words = {word.strip(".,;:<>()[]'\"") for word in refusal.message.lower().split()}
        named = (field for field, address in payload.recipients if address.lower() in words)
        raise Permanent(refusal.code, refusal.message, field=next(named, None)) from None


async def _look_for_bounces(payload: SendEmailPayload, context: Context) -> None:
    whose, addresses = (context.ports, context.tenant_id), [address for _, address in payload.recipients]
    if payload.despite_bounces:
        await forget(*whose, addresses)
    bounced = await noted(*whose, addresses)
    for field, address in payload.recipients:
        if address in bounced:
            message = f"a mail to it came back {bounced[address]}; despite_bounces=true sends there again"
            raise Permanent("address_bounced", message, field=field)


async def _again(look: Look, send: Send, key: str) -> str:
    await look()
    return await send(key)


async def _marked(context: Context, look: Look, send: Send, key: str) -> str:
    """Nobody sends where a mark is; it is taken away only where SES has surely not taken the mail. Between the mark and
    the mail is nothing that could fail."""
    side, place = context.ports.side, (f"{context.tenant_id}#{context.job_id}", "mail")
    mark, expires_at = f"run {context.epoch}", (context.ports.now() + SIDE_RETENTION_MS) // 1000
    unknown = Permanent("unknown_whether_sent", "a worker was lost, or SES's answer, while it was sent; not sent again")
    if await side.get(*place) is not None:
        raise unknown
    await look()
    if not await side.swap(*place, old=None, new=mark, expires_at=expires_at):
        raise unknown
    try:
        return await send(key)
    except WorldFault:
        raise unknown from None
    except (Permanent, Transient):
        await side.swap(*place, old=mark, new=None)
        raise


handler = send_email.lambda_handler
