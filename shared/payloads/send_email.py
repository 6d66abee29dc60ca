"""`send_email`: one mail by Amazon SES, from templates of your own, with files of yours."""

import re
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.payloads.base import Payload, Strict, shaped
from shared.payloads.transcode import StoredUrl
from shared.retry import Policy

RECIPIENTS_MAX: Final = 50
"""https://docs.aws.amazon.com/ses/latest/dg/quotas.html"""

FILLED_MAX: Final = {"subject": 900, "text": 2 * 1024**2, "html": 2 * 1024**2}
"""Characters, with all values in their places. A line of a mail has 998:
https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1"""

PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def _no_encoded_word(address: str) -> str:
    """What a header would decode: https://www.rfc-editor.org/rfc/rfc2047#section-2"""
    if "=?" in address:
        raise ValueError("must not hold '=?'")
    return address


Address = Annotated[
    str,
    shaped(
        r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]$",
        "a mail address, such as ann@example.com",
        max_length=254,
    ),
    AfterValidator(_no_encoded_word),
]
"""Of a mailbox, as HTML's input fields take it: no display name, no comment, no line break. Names of other alphabets in
Punycode, for SES takes nothing else."""

Line = Annotated[str, shaped(r"^[^\x00-\x1f\x7f\u2028\u2029]+$", "one line")]
FILE_TYPE: Final = r"^(?:application|audio|font|image|model|text|video)/[a-z0-9][a-z0-9.+-]*$"
"""What may be Base64; a message or a multipart may not: https://www.rfc-editor.org/rfc/rfc2045#section-6.4"""

Value = str | int | float | bool


class Attachment(Strict):
    """`url`: a file of the tenant's own, as results name it."""

    url: StoredUrl
    name: (
        Annotated[str, shaped(r"^[^/\\\x00-\x1f\x7f\"]+$", "a file's name, without folders or quotes", max_length=128)]
        | None
    ) = None
    content_type: Annotated[str, shaped(FILE_TYPE, "a media type such as application/pdf", max_length=128)] = (
        "application/octet-stream"
    )


class SendEmailPayload(Payload):
    """`subject`, `text` and `html` may hold `{{ name }}` for each of `values`. `delivery`: what it means that a worker
    dies in the middle of sending, see docs/jobs/send_email.md. `despite_bounces`: forget that an address bounced."""

    policy: ClassVar[Policy] = Policy(timeout_s=60, attempts_max=5, base_delay_s=2.0, max_delay_s=300.0)

    type: Literal["send_email"] = "send_email"
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=RECIPIENTS_MAX)]
    cc: Annotated[tuple[Address, ...], Field(max_length=RECIPIENTS_MAX)] = ()
    bcc: Annotated[tuple[Address, ...], Field(max_length=RECIPIENTS_MAX)] = ()
    reply_to: Annotated[tuple[Address, ...], Field(max_length=5)] = ()
    from_name: Annotated[Line, StringConstraints(max_length=64)] | None = None
    subject: Annotated[Line, StringConstraints(max_length=500)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=256 * 1024)] | None = None
    html: Annotated[str, StringConstraints(min_length=1, max_length=512 * 1024)] | None = None
    values: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=65_536)] | int | float | bool], Field(max_length=200)
    ] = Field(default_factory=dict)
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=10)] = ()
    delivery: Literal["at_most_once", "at_least_once"] = "at_most_once"
    despite_bounces: bool = False

    @property
    def recipients(self) -> tuple[tuple[str, str], ...]:
        """(field, address) of each."""
        lists = {"to": self.to, "cc": self.cc, "bcc": self.bcc}
        return tuple((f"{name}.{n}", one) for name, addresses in lists.items() for n, one in enumerate(addresses))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.text is None and self.html is None:
            raise ValueError("a mail needs text or html")
        if len(self.recipients) > RECIPIENTS_MAX:
            raise ValueError(f"{len(self.recipients)} recipients; SES takes {RECIPIENTS_MAX} in one mail")
        if len({address.lower() for _, address in self.recipients}) < len(self.recipients):
            raise ValueError("an address is named twice in to, cc and bcc")
        for name, characters_max in FILLED_MAX.items():
            template: str = getattr(self, name) or ""
            names = PLACEHOLDER.findall(template)
            if missing := set(names) - self.values.keys():
                raise ValueError(f"{name} wants {min(missing)!r}, which values does not have")
            if "{{" in PLACEHOLDER.sub("", template):
                raise ValueError(f"{name} has a '{{{{' that begins no placeholder such as {{{{ name }}}}")
            characters = len(template) + sum(len(str(self.values[name])) for name in names)
            if characters > characters_max:
                raise ValueError(
                    f"{name} comes to {characters:,} characters with its values; at most {characters_max:,}"
                )
        return self
