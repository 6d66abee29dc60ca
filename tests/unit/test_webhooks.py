"""Webhooks as values: what is told, how it is signed, and when nothing is told any more."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.admission import new_job
from shared.consequences import Record
from shared.envelope import seal
from shared.errors import Conflict, InvalidInput, LongshoreError, Permanent, Transient
from shared.job import Job
from shared.payloads.generic import GenericPayload
from shared.payloads.webhook import WebhookPayload
from shared.retry import backoff_s
from shared.status import Status
from shared.watching import KINDS
from shared.webhooks import (
    EXHAUSTED_MAX,
    ROTATION_MS,
    ROTATIONS_MAX,
    EventName,
    Keys,
    Subscription,
    after_failure,
    after_success,
    asked_s,
    body_of,
    check_url,
    delivery_of,
    enabled,
    judged,
    secret_of,
    signed_headers,
    told_by,
    wants,
)

NOW = 1_700_000_000_000
SUBSCRIPTION = Subscription(
    webhook_id="wh_1",
    url="https://example.org/hook",
    events=("completed", "failed"),
    created_at="2026-01-01T00:00:00.000Z",
    created_by="ann",
)


def job(status: Status = Status.QUEUED, **fields: object) -> Job:
    fresh = new_job(seal(GenericPayload(tenant_id="acme", operation="x"), "job_1"), now=NOW, token="t")
    return replace(fresh, status=status, **fields)  # type: ignore[arg-type]  # a test's own fields


def event_name(old: Job | None, new: Job | None) -> str | None:
    event = told_by(Record("1", old, new))
    return None if event is None else event.event


# --- what is told ---


def test_every_way_a_job_can_stand_has_an_event_to_subscribe_to() -> None:
    assert set(get_args(EventName)) == {*KINDS.values(), "progress"}


@pytest.mark.parametrize("status", Status)
def test_each_move_is_told_once_by_its_name(status: Status) -> None:
    assert event_name(job(), job(status, epoch=1)) == KINDS[status]
    assert event_name(job(status, epoch=1), job(status, epoch=1, updated_at=NOW + 1)) is None


def test_progress_is_told_when_it_changes_and_a_sign_of_life_is_not() -> None:
    running = job(Status.RUNNING, epoch=1)
    assert event_name(running, replace(running, progress='{"current":1}')) == "progress"
    assert event_name(replace(running, progress='{"current":1}'), replace(running, progress='{"current":1}')) is None
    assert (
        event_name(replace(running, progress='{"current":1}'), replace(running, progress='{"current":1}', epoch=2))
        == "active"
    )


def test_what_the_system_does_for_itself_and_what_expires_is_told_to_nobody() -> None:
    assert event_name(None, job(type="webhook")) is None
    assert event_name(job(), None) is None


def test_a_subscription_chooses_events_and_types_and_a_disabled_one_nothing() -> None:
    event = told_by(Record("1", job(), job(Status.FAILED, epoch=1)))
    assert event is not None
    assert wants(SUBSCRIPTION, event)
    assert wants(SUBSCRIPTION.model_copy(update={"types": ("generic",)}), event)
    for chosen in ({"types": ("backup",)}, {"events": ("completed",)}, {"disabled_reason": "gone"}):
        assert not wants(SUBSCRIPTION.model_copy(update=chosen), event)
    child = event.model_copy(update={"parent_id": "job_9"})
    assert not wants(SUBSCRIPTION, child), "a hundred thousand children would be as many deliveries"
    assert wants(SUBSCRIPTION.model_copy(update={"types": ("generic",)}), child)


def test_the_same_event_of_the_same_subscription_is_the_same_delivery_and_no_other_is() -> None:
    def delivery(webhook_id: str, new: Job) -> str | None:
        event = told_by(Record("1", None, new))
        assert event is not None
        return delivery_of(webhook_id, "acme", event).job_id

    same = delivery("wh_1", job())
    assert same == delivery("wh_1", job())
    over = job(Status.FAILED, epoch=1)
    others = {delivery("wh_2", job()), delivery("wh_1", job(seq=2)), delivery("wh_1", over)}
    assert same not in others
    assert len(others) == 3


# --- who says so ---


def test_a_signature_is_that_of_the_specification() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    headers = signed_headers((secret,), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_standards_own_library_verifies_it_with_either_secret_while_both_are_valid() -> None:
    old, fresh, another = (secret_of(bytes([n]) * 32) for n in range(3))
    keys = Keys(current=old).rotated(fresh, NOW)
    body, now_s = '{"type":"job.completed","data":{"ü":1}}'.encode(), int(datetime.now(UTC).timestamp())
    both = signed_headers(keys.valid(NOW + ROTATION_MS - 1), "job_1", now_s, body)
    one = signed_headers(keys.valid(NOW + ROTATION_MS), "job_1", now_s, body)
    assert Webhook(old).verify(body, both) == Webhook(fresh).verify(body, both) == Webhook(fresh).verify(body, one)
    for secret, headers, text in ((old, one, body), (another, both, body), (fresh, both, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(text, headers)


def test_no_secret_ends_before_its_day_is_over_however_often_it_is_rotated() -> None:
    keys = Keys(current="whsec_0")
    for number in range(1, ROTATIONS_MAX + 1):
        keys = keys.rotated(f"whsec_{number}", NOW + number)
    assert keys.valid(NOW + ROTATIONS_MAX) == ("whsec_3", "whsec_0", "whsec_1", "whsec_2")
    with pytest.raises(Conflict, match="still sign"):
        keys.rotated("whsec_4", NOW + ROTATION_MS)
    later = keys.rotated("whsec_4", NOW + ROTATION_MS + 1)
    assert later.valid(NOW + ROTATION_MS + 1) == ("whsec_4", "whsec_1", "whsec_2", "whsec_3")


def test_a_secret_does_not_show_itself() -> None:
    keys = Keys(current="whsec_a").rotated("whsec_b", NOW)
    assert "whsec" not in repr(keys) + str(keys)


def test_a_body_is_the_same_bytes_at_every_attempt() -> None:
    event = told_by(Record("1", None, job(metadata='{"item_id":"nö"}')))
    assert event is not None
    delivery = delivery_of("wh_1", "acme", event)
    again = WebhookPayload.model_validate_json(delivery.model_dump_json())
    assert body_of(delivery) == body_of(again)
    assert body_of(delivery).startswith(b'{"type":"job.queued","timestamp":"2023-11-14T22:13:20.000Z","data":{"event":')


# --- where to ---


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "//example.org",
        "example.org",
        "https://",
        "https://user:pw@example.org/",
        "https://example.org/#x",
        "https://example.org/a b",
        "https://example.org/\r\nx: y",
        "https://exämple.org/",
        "https://example.org:99999/",
        "https://[::1",
        "https://localhost/",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://example.org/" + "x" * 1_100,
        "http://localhost:8080/",
    ],
)
def test_a_receiver_is_public_and_speaks_tls(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url, local=False)
    assert refused.value.field == "url"
    assert "pw" not in str(refused.value)


def test_on_a_laptop_a_receiver_may_be_this_machine_and_no_other() -> None:
    assert check_url("http://localhost:8080/x", local=True)
    for url in ("http://example.org/", "http://10.0.0.1/", "https://127.0.0.1/"):
        with pytest.raises(InvalidInput):
            check_url(url, local=True)
    assert check_url("https://example.org:8443/hook?key=1", local=False)


# --- what became of it ---


@pytest.mark.parametrize(
    ("status", "retry_after", "kind", "pause_s"),
    [
        (500, "60", Transient, None),
        (302, None, Transient, None),
        (404, None, Transient, None),
        (429, "60", Transient, 60.0),
        (503, "Tue, 14 Nov 2023 22:14:20 GMT", Transient, 60.0),
        (410, None, Permanent, None),
    ],
)
def test_an_answer_says_whether_and_when_to_come_again(
    status: int, retry_after: str | None, kind: type[LongshoreError], pause_s: float | None
) -> None:
    problem = judged(status, retry_after, "<b>no</b>", NOW)
    assert type(problem) is kind
    assert getattr(problem, "retry_after_s", None) == pause_s


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert judged(status, None, "", NOW) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("1 Jan 99999999999 00:00:00 GMT", None),
        ("0", 0.0),
        ("9" * 400, 21_600.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 14 Nov 9999 22:13:00 GMT", 21_600.0),
    ],
)
def test_no_receiver_can_ask_for_a_pause_that_makes_no_sense(text: str | None, seconds: float | None) -> None:
    assert asked_s(text, NOW) == seconds


def test_many_failures_in_a_row_disable_and_a_success_between_them_forgives() -> None:
    given_up = Transient("not_accepted", "the receiver answered 500")
    almost = SUBSCRIPTION
    for _ in range(EXHAUSTED_MAX - 1):
        almost = after_failure(almost, given_up, NOW)
    assert almost.disabled_reason is None
    assert after_failure(after_success(almost), given_up, NOW).disabled_reason is None
    disabled = after_failure(almost, given_up, NOW)
    assert disabled.disabled_reason == "10 deliveries in a row were given up; the last: the receiver answered 500"
    assert after_failure(disabled, given_up, NOW + 1).disabled_at == disabled.disabled_at, "the first reason stands"
    assert enabled(disabled) == SUBSCRIPTION


def test_a_receiver_that_is_gone_is_told_no_more() -> None:
    gone = judged(410, None, "", NOW)
    assert gone is not None
    assert after_failure(SUBSCRIPTION, gone, NOW).disabled_reason == "the receiver answered 410: it wants no more"


def test_a_receiver_that_is_down_for_hours_is_tried_for_hours() -> None:
    policy = WebhookPayload.policy
    latest_s = [backoff_s(n, policy, 0.999999) for n in range(1, policy.attempts_max)]
    assert 10 < sum(latest_s) / 3600 < 12
