"""What must hold of a simulated world when all is over: the books balance, and what is published can be trusted."""

from pydantic_core import from_json

from shared.consequences import consequences
from shared.job import Job
from shared.status import Status
from tests.simulation.handlers import KINDS
from tests.simulation.ledger import JOB_TYPE, meant
from tests.simulation.producers import Producers
from tests.simulation.witness import Cloud


def judge(cloud: Cloud, producers: Producers) -> None:
    """Writes what it finds into the ledger."""
    ledger, rows = cloud.ledger, cloud.jobs.rows
    ledger.check(ledger.judged == len(cloud.jobs.stream), "I1", "every write has a witness")
    ledger.check(rows.keys() == producers.accepted.keys(), "I4", "who is accepted has a row, nobody else", rows.keys())
    ledger.check(not any(cloud.queues.dead_letters.values()), "I4", "no message is given up", cloud.queues.dead_letters)
    ledger.check(not cloud.queues.held.get(JOB_TYPE), "I4", "no message is left", cloud.queues.held)
    for key, row in rows.items():
        ledger.check(row.status.is_terminal, "I4", "every job comes to its end", row)
        _ends_as_it_should(producers, key, row)
        _publishes_its_own(cloud, row)
    _quarantine(cloud, producers)


def unattended(cloud: Cloud, read: int) -> list[Job]:
    """Who lives, and is waited for by no message, no schedule, and no record that the reactor has yet to read."""
    queues = cloud.queues
    messages = (*queues.held.get(JOB_TYPE, ()), *queues.dead_letters.get(JOB_TYPE, ()))
    held = (meant(message.body, message.message_id) for message in messages)
    soon = cloud.weather.now() - 1_000
    scheduled = (meant(message.body, "") for at, message in cloud.schedules.made.values() if at > soon)
    unread = (record for record in cloud.jobs.stream[read:] if consequences(record.old, record.new))
    recorded = ((record.new.key, record.new.seq) for record in unread if record.new is not None)
    waited_for = {*held, *scheduled, *recorded}
    alive = (row for row in cloud.jobs.rows.values() if not row.status.is_terminal)
    return [row for row in alive if (row.key, row.seq) not in waited_for]


def _ends_as_it_should(producers: Producers, key: str, row: Job) -> None:
    """A bad end that is not the job's own is paid for with attempts: I6 has looked at each of them."""
    ledger = producers.cloud.ledger
    order = producers.accepted.get(key)
    if order is None:
        return
    ends = {Status.FAILED if key in ledger.unreadable else KINDS[order.kind].ends}
    if key in ledger.asked:
        ends.add(Status.CANCELLED)
    if row.attempts == row.attempts_max and ledger.deaths.get(key):
        ends.add(Status.FAILED)
    ledger.check(row.status in ends, "I4", f"{order.kind} ends in {sorted(ends)}", row)


def _publishes_its_own(cloud: Cloud, row: Job) -> None:
    """I2: what is published was made by the run that settled the job."""
    published = row.status in {Status.SUCCESS, Status.PARTIAL_SUCCESS}
    run = cloud.ledger.runs.get((row.key, row.epoch))
    cloud.ledger.check(not published or (run is not None and run.returned), "I2", "success was somebody's work", row)
    cloud.ledger.check(published == bool(row.result or row.inline_result), "I2", "success alone has a result", row)
    if not published:
        return
    if row.inline_result is not None:
        document = from_json(row.inline_result)
    else:
        body = cloud.objects.bodies.get(row.result or "")
        document = None if body is None else from_json(body)["data"]["result"]
    epoch = None if document is None else document["data"]["epoch"]
    cloud.ledger.check(epoch == row.epoch, "I2", f"the result is that of run {row.epoch}", document)


def _quarantine(cloud: Cloud, producers: Producers) -> None:
    """I7: everything that nobody can read is kept, and nothing else but what names another's job."""
    kept = {sk.partition("#")[2] for pk, sk in cloud.side.items if pk == "quarantine"}
    lost = set(producers.garbage) - kept
    cloud.ledger.check(not lost, "I7", "what can't be read is kept", lost)
    contested = set()
    for rival, key in producers.rivals.items():
        row = cloud.jobs.rows.get(key)
        won = row is not None and "rival" in (row.payload or "")
        cloud.ledger.check(won or rival in kept, "I10", "another payload for the same job is kept apart", rival)
        contested.add(key.partition("#")[2])
    for message in cloud.ledger.received.values():
        if message.message_id in kept - {*producers.garbage, *producers.rivals}:
            named = any(job_id in message.body for job_id in contested)
            cloud.ledger.check(named, "I7", "what can be read is not kept apart", message.body)
