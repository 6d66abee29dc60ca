"""What AWS would refuse, refused by every adapter beforehand and alike, with the name of the field."""

from typing import Final

from shared.errors import InvalidInput
from shared.ports import Outgoing

DELAY_S_MAX: Final = 900
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, as the next three"""

HIDE_S_MAX: Final = 43_200

BATCH_MAX: Final = 10
"""Entries of one batch request to SQS."""

MESSAGE_BYTES_MAX: Final = 1_048_576
"""Of one message, and of a batch of them."""

SIDE_BODY_BYTES_MAX: Final = 350_000
"""An item of DynamoDB holds 400 KB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

LIST_MAX: Final = 100
"""Keys of one BatchGetItem."""

PART_BYTES: Final = 8 * 1024 * 1024
"""Of a multipart upload's parts and of what a stream hands out at once; S3 asks for at least 5 MiB."""

UPLOAD_BYTES_MAX: Final = 5 * 1024**3
"""Of one PUT: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html"""

PARTS_MAX: Final = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

PRESIGN_S_MAX: Final = 900
"""A presigned URL dies with the session of the role that signed it, so none is made for longer than that lives."""


def check_number(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidInput("out_of_range", f"{value} is not a whole number from {low:,} to {high:,}", field=field)


def check_size(field: str, text: str, bytes_max: int) -> int:
    """→ the size in bytes as UTF-8"""
    size_bytes = len(text.encode())
    if size_bytes > bytes_max:
        raise InvalidInput("too_large", f"{size_bytes:,} bytes, {bytes_max:,} are allowed", field=field)
    return size_bytes


def check_outgoing(message: Outgoing) -> int:
    """→ the size of its body in bytes"""
    check_number("delay_s", message.delay_s, 0, DELAY_S_MAX)
    return check_size("body", message.body, MESSAGE_BYTES_MAX)
