"""One mail as the bytes that go over the wire. Pure.

- A placeholder is replaced by its value, and a value is text: it is never read as a template, as HTML or as a header.
- The standard library reads "=?utf-8?q?=0D=0A…?=" in what is a header's text, and writes what it says, line breaks too
  (https://www.rfc-editor.org/rfc/rfc2047#section-2). So no header's text has a "=?".
- In HTML a value that is an address to go to (`href="{{ link }}"`) must be one of the web's, or of mail's.
- Headers are made by the standard library, which refuses line breaks: https://www.rfc-editor.org/rfc/rfc5322#section-2.2
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from shared.errors import Permanent
from shared.payloads.send_email import PLACEHOLDER, SendEmailPayload, Value

PLACE: Final = re.compile(
    r"""(?P<link>(?:href|src|action|formaction)\s*+=\s*+["']?+\s*+)?""" + PLACEHOLDER.pattern, re.IGNORECASE
)
"""Nothing is read twice, however long the template is."""

SAFE_LINK: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)

WIRE: Final = SMTP.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True)
class File:
    name: str
    media_type: str
    body: bytes


def composed(payload: SendEmailPayload, sender: str, files: Sequence[File]) -> bytes:
    """The whole mail. Raises Permanent("unsafe_link", field="html")."""
    mail = EmailMessage(policy=WIRE)
    mail["From"] = Address(_line(payload.from_name or ""), addr_spec=sender)
    for header, addresses in (("To", payload.to), ("Cc", payload.cc), ("Reply-To", payload.reply_to)):
        if addresses:
            mail[header] = [Address(addr_spec=address) for address in addresses]
    mail["Subject"] = _line(filled(payload.subject, payload.values))
    if payload.text is not None:
        mail.set_content(filled(payload.text, payload.values))
    if payload.html is not None and payload.text is not None:
        mail.add_alternative(filled_html(payload.html, payload.values), subtype="html")
    elif payload.html is not None:
        mail.set_content(filled_html(payload.html, payload.values), subtype="html")
    for file in files:
        kind, _, subtype = file.media_type.partition("/")
        mail.add_attachment(file.body, maintype=kind, subtype=subtype, filename=_line(file.name))
    return mail.as_bytes()


def filled(template: str, values: Mapping[str, Value]) -> str:
    """As plain text."""
    return PLACEHOLDER.sub(lambda found: _text(values[found[1]]), template)


def filled_html(template: str, values: Mapping[str, Value]) -> str:
    """As HTML, in which every value is text."""

    def value(found: re.Match[str]) -> str:
        link, name = found.groups("")
        text = _text(values[name])
        if link and not SAFE_LINK.match(text):
            raise Permanent("unsafe_link", f"{name!r} must begin with https://, http:// or mailto:", field="html")
        return link + html.escape(text)

    return PLACE.sub(value, template)


def _line(text: str) -> str:
    """What a header may hold of it."""
    return " ".join(text.replace("=?", "= ?").split())


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
