"""`send_email`: what goes over the wire, how often, and what nobody gets in."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.jobs.send_email import SENDER, send_email
from infra.testing import Drained, Longshore
from infra.testing.faults import Fault, Plan
from shared.aws.clients import Clients
from shared.aws.mail import EVENTS, QUOTA_PAUSE_S, AwsMail
from shared.errors import InvalidInput, LongshoreError, Permanent, Transient, WorldFault
from shared.job import Job
from shared.mail.compose import File, composed
from shared.memory.mail import MemoryMail
from shared.memory.objects import MemoryObjects
from shared.outcomes import Done, Failed, Outcome
from shared.payloads import read_payload
from shared.payloads.send_email import SendEmailPayload
from shared.status import Status

MAIL = {"to": ["ann@example.com"], "subject": "Hello {{ name }}", "text": "Dear {{name}}", "values": {"name": "Ann"}}
FILE = "s3://memory/artifacts/default/uploads/1/report.pdf"


@pytest.fixture(autouse=True)
def _a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SENDER, "shop@example.com")


def mail(**fields: Any) -> SendEmailPayload:  # Any: a payload's fields
    payload = read_payload(json.dumps({"type": "send_email", **MAIL, **fields}))
    assert isinstance(payload, SendEmailPayload)
    return payload


def box(longshore: Longshore) -> MemoryMail:
    return cast("MemoryMail", longshore.ports.mail)


def parsed(body: bytes) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(body, policy=default))


def only(longshore: Longshore) -> EmailMessage:
    ((_, _, body),) = box(longshore).sent
    return parsed(body)


def failed(outcome: Outcome) -> tuple[str, str | None]:
    assert isinstance(outcome, Failed), outcome
    return outcome.code, outcome.field


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_mail_of_all_its_parts(longshore: Longshore) -> None:
    cast("MemoryObjects", longshore.ports.objects).bodies[FILE.removeprefix("s3://memory/")] = b"%PDF" * 1000
    outcome = longshore.perform(
        send_email,
        mail(
            cc=["bob@example.com"], bcc=["eve@example.com"], reply_to=["help@example.com"], from_name="Käse, & Co",
            html="<p>Dear {{ name }}, <a href='{{ link }}'>here</a>", subject="Grüße an {{ name }}",
            values={"name": "<Ann> & Söhne", "link": "https://example.com/?a=1&b='2'"},
            attachments=[{"url": FILE, "content_type": "application/pdf"}],
        ),
    )  # fmt: skip
    assert isinstance(outcome, Done)
    ((sender, recipients, body),) = box(longshore).sent
    assert sender == "shop@example.com"
    assert recipients == ("ann@example.com", "bob@example.com", "eve@example.com")
    assert b"eve@" not in body
    assert body.isascii()
    found = parsed(body)
    assert (found["From"], found["Subject"]) == ('"Käse, & Co" <shop@example.com>', "Grüße an <Ann> & Söhne")
    assert (found["To"], found["Cc"], found["Reply-To"]) == ("ann@example.com", "bob@example.com", "help@example.com")
    text, html = found.get_body(("plain",)), found.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Dear <Ann> & Söhne"
    wanted = "<p>Dear &lt;Ann&gt; &amp; Söhne, <a href='https://example.com/?a=1&amp;b=&#x27;2&#x27;'>here</a>"
    assert html.get_content().strip() == wanted
    (file,) = found.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("report.pdf", "application/pdf")
    assert file.get_content() == b"%PDF" * 1000


@given(st.text(max_size=80), st.text(st.characters(blacklist_categories=("Cs",)), max_size=80))
def test_no_value_makes_a_header_a_tag_or_a_recipient(name: str, other: str) -> None:
    values = {"name": other + "\r\nBcc: eve@example.com\r\n\r\n<b>" + name.encode("utf-8", "replace").decode()}
    payload = mail(html="<p>{{ name }}</p>").model_copy(update={"values": values})
    found = parsed(composed(payload, "shop@example.com", []))
    assert found.get_all("Bcc") is None
    assert [part.get_content_type() for part in found.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    html = found.get_body(("html",))
    assert html is not None
    assert html.get_content().count("<") == 2


PIECES = ["=?", "utf-8?q?", "us-ascii?B?DQpCY2M6eA==", "=0d=0aBcc:=20eve@example.com", "=0d=0a=0d=0a<b>", "?=", "X: y"]
HOSTILE = st.lists(st.sampled_from([*PIECES, " ", '"', "\\", ",", "<", ">", "@", "é", "\x85", "a" * 40]), min_size=1)


WORD = "=?utf-8?q?=0d=0aBcc:x?="


@example(WORD, WORD, WORD)
@example("x", f"a {WORD} b", f"a {WORD} b")
@given(HOSTILE.map("".join), HOSTILE.map("".join), HOSTILE.map("".join))
def test_no_header_holds_what_a_reader_would_decode(subject: str, name: str, file: str) -> None:
    """Also the templates' own words, a sender's name and a file's."""
    fields: dict[str, Any] = {"subject": "{{ it }}" + subject[:400], "values": {"it": subject[:400], "name": ""}}
    payload = mail(from_name=name[:64], **fields)
    body = composed(payload, "shop@example.com", [File(file[:128], "image/png", b"x")])
    headers = message_from_bytes(body)
    assert headers.keys() == ["From", "To", "Subject", "MIME-Version", "Content-Type"]
    assert all(str(parsed(body)[header]).isprintable() for header in ("From", "Subject"))
    parts = headers.get_payload()
    assert [len(part.keys()) for part in cast("list[EmailMessage]", parts)] == [2, 4]


def test_a_template_costs_no_more_than_its_length() -> None:
    for template in ("{{ name }}" * 50_000, "href=" + " " * 500_000 + "x", ("href=" + " " * 50) * 9_000 + "{{ name }}"):
        payload = mail(html=template, values={"name": "https://x"})
        assert b"text/html" in composed(payload, "shop@example.com", [])


@pytest.mark.parametrize("link", ["javascript:alert(1)", " data:text/html,x", "//evil.example", "vbscript:x"])
def test_a_link_leads_to_the_web_or_nowhere(longshore: Longshore, link: str) -> None:
    payload = mail(html='<a HREF = "{{ link }}">', values={"name": "Ann", "link": link})
    assert failed(longshore.perform(send_email, payload)) == ("unsafe_link", "html")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"to": []}, "to"),
        ({"to": ["ann"]}, "to.0"),
        ({"to": ["ann@example.com\nBcc: eve@example.com"]}, "to.0"),
        ({"to": ["Ann <ann@example.com>"]}, "to.0"),
        ({"to": ["ann@example.com, eve@example.com"]}, "to.0"),
        ({"to": ["a..b@example.com"]}, "to.0"),
        ({"to": ["ann@localhost"]}, "to.0"),
        ({"to": ["änn@example.com"]}, "to.0"),
        ({"cc": ["ANN@example.com"]}, "(the document)"),
        ({"bcc": [f"a{n}@example.com" for n in range(50)]}, "(the document)"),
        ({"subject": "Hi\r\nBcc: eve@example.com"}, "subject"),
        ({"from_name": "Ann\nX: y"}, "from_name"),
        ({"text": None}, "(the document)"),
        ({"text": "{{ nobody }}"}, "(the document)"),
        ({"text": "{{ name.__class__ }}"}, "(the document)"),
        ({"html": "{{ name | safe }}"}, "(the document)"),
        ({"values": {"name": ["Ann"]}}, "values.name.constrained-str"),
        ({"to": ["=?q?x?=@example.com"]}, "to.0"),
        ({"subject": "{{ name }}", "values": {"name": "x" * 1000}}, "(the document)"),
        ({"text": "{{ name }}" * 20_000, "values": {"name": "x" * 60_000}}, "(the document)"),
        ({"attachments": [{"url": FILE, "content_type": "message/rfc822"}]}, "attachments.0.content_type"),
        ({"attachments": [{"url": FILE, "content_type": "multipart/mixed"}]}, "attachments.0.content_type"),
        ({"attachments": [{"url": "https://example.com/x"}]}, "attachments.0.url"),
        ({"attachments": [{"url": FILE, "name": '../"x'}]}, "attachments.0.name"),
        ({"attachments": [{"url": FILE, "content_type": "a/b\r\nX: y"}]}, "attachments.0.content_type"),
    ],
)
def test_nonsense_is_refused_at_the_door(fields: dict[str, object], wrong: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        mail(**fields)
    assert caught.value.field == wrong


def test_what_cannot_be_attached_ends_the_job(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = mail(attachments=[{"url": FILE}])
    assert failed(longshore.perform(send_email, payload)) == ("no_such_artifact", "attachments.0.url")
    cast("MemoryObjects", longshore.ports.objects).bodies[FILE.removeprefix("s3://memory/")] = b"x" * 100
    monkeypatch.setattr("handlers.jobs.send_email.ATTACHED_BYTES_MAX", 99)
    assert failed(longshore.perform(send_email, payload)) == ("too_large", "attachments.0.url")
    other = FILE.replace("default", "other")
    assert failed(longshore.perform(send_email, mail(attachments=[{"url": other}])))[0] == "no_such_artifact"
    assert box(longshore).sent == []


def test_a_stack_without_a_sender_sends_nothing(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SENDER)
    assert failed(longshore.perform(send_email, mail())) == ("email_off", None)


def test_a_refusal_names_the_field_of_the_address(longshore: Longshore) -> None:
    box(longshore).refused.add("bob@example.com")
    submitted = longshore.submit(mail(cc=["b@example.com", "bob@example.com"]))
    assert longshore.drain(with_scheduled=True) == Drained(failed=1)
    error = longshore.job(submitted).error
    assert error is not None
    assert (error.code, error.field) == ("mail_refused", "cc.1")


# --- what bounced -----------------------------------------------------------------------------------------------------


BOUNCE: dict[str, Any] = {
    "eventType": "Bounce",
    "bounce": {
        "bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2017-08-05T00:41:02.669Z",
        "bouncedRecipients": [
            {"emailAddress": "Ann@example.com", "action": "failed", "status": "5.1.1",
             "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
        ],
        "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
        "reportingMTA": "dsn; mta.example.com",
    },
    "mail": {
        "timestamp": "2017-08-05T00:40:02.012Z", "source": "shop@example.com", "messageId": "EXAMPLE7c191be45",
        "destination": ["ann@example.com"], "headersTruncated": False, "headers": [{"name": "Subject", "value": "x"}],
        "commonHeaders": {"from": ["shop@example.com"], "subject": "x"},
        "tags": {"ses:configuration-set": ["longshore"], "job_id": ["job_7"], "tenant_id": ["default"]},
    },
}  # fmt: skip
"""https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html"""


def tell(longshore: Longshore, event_id: str = "1", tenant_id: str = "default", **detail: object) -> Job:
    """As the rule `MailEventRule` writes it; a test of the template holds them together."""
    message = {"type": "mail_event", "job_id": f"mail-{event_id}", "tenant_id": tenant_id, "detail": BOUNCE | detail}
    longshore.send("mail_event", json.dumps(message))
    longshore.drain()
    told = longshore.run(longshore.ports.jobs.get(tenant_id, f"mail-{event_id}"))
    assert told is not None
    return told


def sent_to_ann(longshore: Longshore, **fields: object) -> tuple[str, str | None] | None:
    submitted = longshore.submit(mail(to=["bob@example.com", "ann@example.com"], **fields))
    longshore.drain(with_scheduled=True)
    error = longshore.job(submitted).error
    return None if error is None else (error.code, error.field)


def test_no_mail_goes_where_one_came_back_until_it_is_wanted_all_the_same(longshore: Longshore) -> None:
    assert sent_to_ann(longshore) is None
    assert box(longshore).tags["tenant_id"] == "default"
    assert box(longshore).tags["job_id"].startswith("job_")
    told = tell(longshore)
    assert told.status is Status.SUCCESS
    assert '"sent_by":"job_7"' in (told.inline_result or "")
    assert "Bounce of a mail by job_7" in (told.progress or "")
    assert sent_to_ann(longshore) == ("address_bounced", "to.1")
    assert len(box(longshore).sent) == 1
    tell(longshore, "2")
    assert sent_to_ann(longshore, despite_bounces=True) is None
    assert sent_to_ann(longshore) is None


def test_what_ses_takes_for_no_tag_is_not_sent_as_one(longshore: Longshore) -> None:
    assert isinstance(longshore.perform(send_email, mail(job_id="order.7")), Done)
    assert box(longshore).tags == {"tenant_id": "default"}


@pytest.mark.parametrize(
    ("detail", "refused"),
    [
        ({"eventType": "Complaint", "bounce": None, "complaint": {
            "complainedRecipients": [{"emailAddress": "ann@example.com"}], "complaintFeedbackType": "abuse"}}, True),
        ({"bounce": BOUNCE["bounce"] | {"bounceType": "Transient"}}, False),
        ({"bounce": BOUNCE["bounce"] | {"bounceType": "Undetermined"}}, False),
        ({"eventType": "Reject", "bounce": None, "reject": {"reason": "Bad content"}}, False),
    ],
)  # fmt: skip
def test_what_passes_by_keeps_nobody_from_sending(
    longshore: Longshore, detail: dict[str, object], refused: bool
) -> None:
    assert tell(longshore, **detail).status is Status.SUCCESS
    assert (sent_to_ann(longshore) is not None) is refused


@pytest.mark.parametrize("strange", ["", "x" * 5000, "é@example.com", "a b@example.com"])
def test_what_another_server_calls_an_address_keeps_no_other_from_being_noted(
    longshore: Longshore, strange: str
) -> None:
    """No table takes an empty key, or one of more than 1,024 bytes."""
    recipients = [{"emailAddress": strange}, {"emailAddress": "ann@example.com"}]
    told = tell(longshore, bounce={"bounceType": "Permanent", "bouncedRecipients": recipients})
    assert told.status is Status.SUCCESS
    assert sent_to_ann(longshore) == ("address_bounced", "to.1")
    notes = longshore.run(longshore.ports.side.query("#bounced#default", limit=10))
    assert [address for address, _ in notes] == ["ann@example.com"]


def test_one_tenants_bounces_are_nobody_elses(longshore: Longshore) -> None:
    tell(longshore, tenant_id="other")
    assert sent_to_ann(longshore) is None


def test_what_was_sent_before_it_bounced_was_sent(longshore: Longshore) -> None:
    """The answer is kept, the settlement was lost: the next run does not look again."""
    payload = mail(job_id="job_7")
    first = longshore.perform(send_email, payload)
    assert isinstance(first, Done)
    tell(longshore)
    assert isinstance(longshore.perform(send_email, payload), Done)
    assert len(box(longshore).sent) == 1


def test_nonsense_in_the_place_of_an_event_is_told_to_its_tenant(longshore: Longshore) -> None:
    told = tell(longshore, eventType="Delivery")
    assert told.status is Status.FAILED
    assert '"field":"detail.eventType"' in (told.error or "")


# --- how often --------------------------------------------------------------------------------------------------------


def every_disturbance(payload: SendEmailPayload) -> list[tuple[Status, str | None, int]]:
    """How the job ended, and how many mails went out, for each fault at each call."""
    ends = []
    for fault in Fault:
        for at in range(1, 60):
            plan = Plan(fault, at)
            longshore = Longshore(plan=plan)
            try:
                submitted = longshore.submit(payload)
                longshore.drain(with_scheduled=True)
                job = longshore.job(submitted)
                ends.append((job.status, job.error and job.error.code, len(box(longshore).sent)))
            finally:
                longshore.close()
            if len(plan.calls) < at:
                break
    return ends


def test_no_job_sends_twice_whatever_happens() -> None:
    ends = set(every_disturbance(mail()))
    assert ends == {(Status.SUCCESS, None, 1), *((Status.FAILED, "unknown_whether_sent", n) for n in (0, 1))}


def test_what_fails_before_ses_is_asked_leaves_no_question() -> None:
    """Whether an address bounced is looked up before the mark is made, not between it and the mail."""
    for at in range(1, 60):
        plan = Plan(Fault.THROTTLE, at)
        with closing(Longshore(plan=plan)) as longshore:
            submitted = longshore.submit(mail())
            longshore.drain(with_scheduled=True)
            status = longshore.job(submitted).status
        if "mail.send" in plan.calls[:at]:
            break
        assert status is Status.SUCCESS, plan.calls[:at]


def test_a_job_that_must_arrive_sends_again_rather_than_not_at_all() -> None:
    ends = set(every_disturbance(mail(delivery="at_least_once")))
    assert ends == {(Status.SUCCESS, None, 1), (Status.SUCCESS, None, 2)}


def test_a_throttled_mail_waits_and_costs_no_attempt(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, throttled = box(longshore).send, [5.0, 3600.0]

    async def send(_: MemoryMail, *args: Any, **kwargs: Any) -> str:
        if throttled:
            raise Transient("throttled", "Maximum sending rate exceeded.", retry_after_s=throttled.pop(0))
        return await real(*args, **kwargs)

    monkeypatch.setattr(MemoryMail, "send", send)
    monkeypatch.setattr(MemoryMail, "sent", [], raising=False)
    submitted = longshore.submit(mail())
    began_at = longshore.clock.now()
    assert longshore.drain(with_scheduled=True) == Drained(succeeded=1, snoozed=2)
    assert longshore.job(submitted).attempts == 0
    assert longshore.clock.now() - began_at >= 3_605_000


def test_a_mail_that_is_throttled_for_ever_ends_after_a_day(
    longshore: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(*_: Any, **__: Any) -> str:
        raise Transient("throttled", "Daily message quota exceeded.", retry_after_s=3600.0)

    monkeypatch.setattr(MemoryMail, "send", send)
    submitted = longshore.submit(mail())
    began_at = longshore.clock.now()
    drained = longshore.drain(with_scheduled=True)
    assert (drained.failed, longshore.job(submitted).status) == (1, Status.FAILED)
    assert 12 < drained.snoozed < 25
    assert longshore.clock.now() - began_at < 36 * 3600 * 1000


# --- what SES says ----------------------------------------------------------------------------------------------------


Said = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def ses(answer: Said) -> AsyncIterator[AwsMail]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    clients = Clients(endpoint_url=url, region="us-east-1", credentials=("local", "local"))
    try:
        yield AwsMail(clients)
    finally:
        await clients.close()
        await runner.cleanup()


def said(status: int, code: str, message: str = "") -> tuple[LongshoreError, int]:
    """How it comes out, and how often SES was asked. Status 0: it hangs up."""
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await request.read()
        if not status:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"message": message}, status=status or 500, headers={"x-amzn-errortype": code})

    async def story() -> LongshoreError:
        async with ses(answer) as port:
            with pytest.raises(LongshoreError) as caught:
                await port.send(b"Subject: x\r\n\r\n", sender="a@example.com", recipients=["b@example.com"], tags={})
            return caught.value

    return asyncio.run(story()), asked


def test_ses_is_asked_once_and_understood() -> None:
    refused, asked = said(400, "MessageRejected", "Email address is not verified: b@example.com")
    assert (type(refused), refused.code, asked) == (Permanent, "mail_refused", 1)
    throttled, asked = said(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
    assert isinstance(throttled, Transient)
    assert (throttled.retry_after_s, asked) == (5.0, 1)
    spent, _ = said(429, "TooManyRequestsException", "Daily message quota exceeded.")
    assert isinstance(spent, Transient)
    assert spent.retry_after_s == QUOTA_PAUSE_S
    for status, code in ((500, "InternalFailure"), (503, "ServiceUnavailable"), (0, "")):
        lost, asked = said(status, code)
        assert isinstance(lost, WorldFault)
        assert asked == 1, status
    for code in ("AccessDeniedException", "ExpiredTokenException", "InvalidSignatureException"):
        denied, _ = said(403, code)
        assert isinstance(denied, Transient), "nothing was sent: it may be tried again"
    paused, _ = said(400, "SendingPausedException", "Account sending is paused.")
    assert isinstance(paused, Transient)
    assert (paused.code, paused.retry_after_s) == ("sending_paused", QUOTA_PAUSE_S)


def test_ses_is_told_whose_mail_it_is_and_whom_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EVENTS, "some-stack")
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        return web.json_response({"MessageId": "m"})

    async def story() -> None:
        async with ses(answer) as port:
            await port.send(b"x", sender="a@example.com", recipients=["b@example.com"], tags={"job_id": "job_1"})

    asyncio.run(story())
    assert asked[0]["ConfigurationSetName"] == "some-stack"
    assert asked[0]["EmailTags"] == [{"Name": "job_id", "Value": "job_1"}]


def test_where_nobody_listens_nothing_was_sent() -> None:
    async def story() -> LongshoreError:
        clients = Clients(endpoint_url="http://127.0.0.1:1", region="us-east-1", credentials=("a", "b"))
        with pytest.raises(LongshoreError) as caught:
            await AwsMail(clients).send(b"", sender="a@example.com", recipients=["b@example.com"], tags={})
        await clients.close()
        return caught.value

    error = asyncio.run(story())
    assert isinstance(error, Transient)
    assert error.code == "EndpointConnectionError"
