"""`mail_event`: a mail that bounced, was complained about or was rejected, as SES tells of it. The address is noted.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.payloads.base import STRICT, Payload
from shared.retry import Policy

JOB_TAG: Final = "job_id"
RECIPIENTS_MAX: Final = 100
ADDRESS: Final = re.compile(r"[!-~]{3,254}")

Text = Annotated[str, StringConstraints(max_length=8192)]


class Told(BaseModel):
    """SES's own; it tells more than is read here."""

    model_config = ConfigDict(**{**STRICT, "extra": "ignore"})


class Recipient(Told):
    email_address: Text
    diagnostic_code: Text = ""


Recipients = Annotated[tuple[Recipient, ...], Field(max_length=RECIPIENTS_MAX)]


class Bounce(Told):
    bounce_type: Text
    bounced_recipients: Recipients


class Complaint(Told):
    complained_recipients: Recipients
    complaint_feedback_type: Text = ""


class Reject(Told):
    reason: Text = ""


class Mail(Told):
    message_id: Text
    tags: dict[str, tuple[Text, ...]] = Field(default_factory=dict)


class Detail(Told):
    event_type: Literal["Bounce", "Complaint", "Reject"]
    mail: Mail
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    reject: Reject | None = None


class MailEventPayload(Payload):
    """`detail`: of the event. Its tag `job_id` names the job that sent the mail."""

    policy: ClassVar[Policy] = Policy(timeout_s=30, inline_result=True)

    type: Literal["mail_event"] = "mail_event"
    detail: Detail

    @property
    def sent_by(self) -> str | None:
        return next(iter(self.detail.mail.tags.get(JOB_TAG, ())), None)

    @property
    def lost(self) -> dict[str, str]:
        """Address → why nothing should be sent there any more. A bounce that passes by is none; what another's server
        calls an address, and is none, no mail of ours goes to."""
        found = dict[str, str]()
        if self.detail.bounce is not None and self.detail.bounce.bounce_type == "Permanent":
            found = {one.email_address: one.diagnostic_code for one in self.detail.bounce.bounced_recipients}
        elif self.detail.complaint is not None:
            kind = f"its reader complained: {self.detail.complaint.complaint_feedback_type}".removesuffix(": ")
            found = {one.email_address: kind for one in self.detail.complaint.complained_recipients}
        return {address: why for address, why in found.items() if ADDRESS.fullmatch(address)}
