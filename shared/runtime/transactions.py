"""A job in the caller's own transaction: it exists exactly if the transaction was committed.

    item = submit_item(ReceiptPayload(order="o-17"), idempotency_key="o-17")
    client.transact_write_items(TransactItems=[{"Put": my_order}, item])  # a low-level client of boto3 or aiobotocore
    job_id = job_id_of(item)

- The entry is the table of moves' own `submit`: it refuses where the job is there already, and cancels the whole
  transaction. `is_submitted` tells that refusal from others.
- The reactor does the rest, as for every job. Nothing is sent, and nothing is written but the entry.
- The payload is kept in the row, up to 4,096 bytes: what is kept beside it would be there without the job.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.admission import job_id_for, new_job
from shared.aws.expressions import Entry, Item, job_of, put_entry
from shared.envelope import seal
from shared.errors import Conflict, InvalidInput
from shared.moves import submit
from shared.names import Names
from shared.payloads.base import Payload
from shared.ports import Clock, Tokens
from shared.retry import DELAY_S_MAX
from shared.runtime.wiring import fresh_token, now_ms

PAYLOAD_BYTES_MAX: Final = 4_096
"""Every move of the job writes the whole row, per started KB."""


def submit_item(
    payload: Payload,
    *,
    stack: str = "longshore",
    idempotency_key: str | None = None,
    delay_s: float = 0.0,
    now: Clock = now_ms,
    token: Tokens = fresh_token,
) -> Entry:
    """→ one entry for `TransactItems` (DynamoDB takes up to 100): `{"Put": {"TableName": …, "Item": …, …}}`.

    Not async, and no I/O. The caller needs `dynamodb:PutItem` on the stack's jobs table. Raises InvalidInput for a
    payload of over 4,096 bytes, a bad key, a bad delay (up to a year).
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
    """
    if not 0 <= delay_s <= DELAY_S_MAX:
        raise InvalidInput("invalid_delay", f"0 to {DELAY_S_MAX} seconds", field="delay_s")
    made_at = now()
    envelope = seal(payload, job_id_for(payload, idempotency_key, made_at, bytes.fromhex(token() + token())))
    size_bytes = len(envelope.body.encode())
    if size_bytes > PAYLOAD_BYTES_MAX:
        message = f"{size_bytes} bytes; at most {PAYLOAD_BYTES_MAX} in a transaction: put it in S3 and name it"
        raise InvalidInput("payload_too_large", message, field="payload")
    job = new_job(
        envelope,
        now=made_at,
        token=token(),
        due_at=made_at + round(delay_s * 1000),
        row_bytes_max=PAYLOAD_BYTES_MAX,
    )
    return put_entry(submit(job), Names(stack=stack, bucket="").jobs_table)


def job_id_of(item: Entry) -> str:
    return job_of(item["Put"]["Item"]).job_id


def is_submitted(item: Entry, reasons: Sequence[Mapping[str, Item]]) -> bool:
    """Was the transaction cancelled because this very job is there already? Then it need not be tried again.

    `reasons`: `error.response["CancellationReasons"]`. Raises Conflict if the id or key stands for another payload.
    """
    mine = job_of(item["Put"]["Item"])
    images = (reason["Item"] for reason in reasons if "Item" in reason)
    found = next((job_of(image) for image in images if image.get("pk") == {"S": mine.key}), None)
    if found is not None and (found.type, found.payload_hash) != (mine.type, mine.payload_hash):
        raise Conflict("conflict", f"{found.job_id} is there, of another type or payload", field="idempotency_key")
    return found is not None
