"""Where moto's cost grows with what it keeps, it is mended here; its answers stay the same, but for five (4 to 8).

1. SQS: receiving and sending one message computes all attributes of the queue, each by looking at every message.
   A queue of 1,000 messages takes 441 ms per receive; with attributes computed when asked for, 9 ms.
2. S3: completing an upload copies all its parts four times and sums them in pure Python; a ranged read copies the whole
   object. Here an object's bytes stay in the files of its parts, and a read takes the bytes it asked for.
3. Streams: every read of a shard leaves an iterator of 1 KB behind, for ever. Here the oldest are forgotten.
4. Streams: an UpdateItem that creates its item leaves two INSERTs, the first of the bare key. Here, as on AWS, one.
5. SQS: a dead letter does not say which queue gave it up. Here, as on AWS, by `DeadLetterQueueSourceArn`.
6. SQS: `MessageGroupId` means nothing on a standard queue. Here, as on AWS, a noisy group does not delay the others.
7. Streams: a cancelled transaction puts a copy in the table's place, and who reads its stream hears nothing any more.
   Here iterators follow the table.
8. SES: no address may send before somebody has answered a mail. Here any may: nothing leaves the machine.

The mends know moto's insides, so another version runs unmended (slower, still right) and says so in the log.
"""

import hashlib
import io
import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import IO, Any, Final

import structlog
from moto.core.utils import camelcase_to_underscores, unix_time_millis
from moto.dynamodb.models.table import StreamShard
from moto.dynamodbstreams.models import DynamoDBStreamsBackend
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart
from moto.ses.models import SESBackend
from moto.settings import S3_UPLOAD_PART_MIN_SIZE
from moto.sqs.models import Queue
from moto.sqs.responses import SQSResponse

from shared.memory.fairness import fairly

KNOWN_VERSIONS: Final = ("5.2.5",)
LARGE_BYTES: Final = 1 << 20
ITERATORS_MAX: Final = 1_000

log = structlog.get_logger("longshore.local")

whole_attributes: Final = vars(Queue)["attributes"]
whole_value: Final = vars(FakeKey)["value"]
whole_add: Final = vars(StreamShard)["add"]
whole_add_message: Final = vars(Queue)["add_message"]
whole_receive_message: Final = vars(SQSResponse)["receive_message"]


def mend() -> bool:
    """Puts the mends in place, once or often. Returns False, and does nothing, for a moto of another version."""
    if (found := version("moto")) not in KNOWN_VERSIONS:
        log.warning("moto_not_mended", version=found, known=KNOWN_VERSIONS)
        return False
    for owner, name, mended in _mends():
        setattr(owner, name, mended)
    return True


def _mends() -> tuple[tuple[type, str, object], ...]:
    return (
        (Queue, "attributes", property(Attributes)),
        (Queue, "messages", property(Receivable)),
        (FakeKey, "value", property(_value, _set_value)),
        (FakeMultipart, "complete", _complete),
        (DynamoDBStreamsBackend, "get_records", _get_records),
        (StreamShard, "add", _add),
        (Queue, "add_message", _add_message),
        (SQSResponse, "receive_message", _receive_message),
        (SESBackend, "_is_verified_address", lambda _self, _source: True),
    )


class Attributes(Mapping[str, Any]):
    """A queue's attributes, each computed when it is asked for."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        names = [*queue.BASE_ATTRIBUTES]
        names += queue.FIFO_ATTRIBUTES if queue.fifo_queue else []
        names += queue.KMS_ATTRIBUTES if queue.kms_master_key_id else []
        self._names = names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        value = getattr(self._queue, camelcase_to_underscores(name))
        if isinstance(value, bool):
            return str(value).lower()
        return json.dumps(value) if name == "RedrivePolicy" and value else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Receivable:
    """A queue's messages that may be received, one look at each; the fair order is found as far as somebody takes."""

    def __init__(self, queue: Any) -> None:
        now = unix_time_millis()
        self._served: dict[str, int] = vars(queue).setdefault("served", {})
        self._waiting: dict[str, deque[Any]] = {}
        self._in_flight: Counter[str] = Counter()
        for message in queue._messages:
            group = "" if queue.fifo_queue else message.group_id or ""
            if message.visible_at < now and message.delayed_until <= now:
                self._waiting.setdefault(group, deque()).append(message)
            elif message.approximate_receive_count and message.visible_at >= now:
                self._in_flight[group] += 1

    def __iter__(self) -> Iterator[Any]:
        return fairly(self._waiting, self._in_flight, self._served)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


class ObjectBytes:
    """The bytes of an S3 object, left in its file: `len()`, and slices that read only what they name."""

    def __init__(self, file: "IO[bytes] | Joined", size: int) -> None:
        self._file = file
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self._size)
        self._file.seek(start)
        return self._file.read(max(stop - start, 0))

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, self._size, LARGE_BYTES):
            yield self[start : start + LARGE_BYTES]


class Joined:
    """The files of an upload's parts, read as one."""

    def __init__(self, files: list[tuple[IO[bytes], int]]) -> None:
        self._files = files
        self._at = 0

    def __len__(self) -> int:
        return sum(size for _, size in self._files)

    def seek(self, at: int) -> None:
        self._at = at

    def read(self, size: int = -1) -> bytes:
        start, stop = self._at, len(self) if size < 0 else self._at + size
        pieces = []
        for file, length in self._files:
            if start < length and stop > 0:
                file.seek(max(start, 0))
                pieces.append(file.read(min(stop, length) - max(start, 0)))
            start -= length
            stop -= length
        piece = b"".join(pieces)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        for file, _ in self._files:
            file.close()


def _value(key: Any) -> bytes | ObjectBytes:
    is_large = key.contentsize > LARGE_BYTES or isinstance(key._value_buffer, Joined)
    return ObjectBytes(key._value_buffer, key.contentsize) if is_large else bytes(whole_value.fget(key))


def _set_value(key: Any, value: bytes | ObjectBytes | Joined) -> None:
    if isinstance(value, Joined):
        key._value_buffer.close()
        key._value_buffer = value
        key.contentsize = len(value)
    elif isinstance(value, ObjectBytes):
        key.contentsize = sum(key._value_buffer.write(chunk) for chunk in value.chunks())
    else:
        whole_value.fset(key, value)


def _complete(upload: Any, listed: Iterator[tuple[int, str]]) -> tuple[Joined, str, None]:
    parts: list[Any] = []
    for number, etag in listed:
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        parts.append(part)
    if not parts:
        raise MalformedXML
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    etag = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    whole = Joined([(part._value_buffer, part.contentsize) for part in parts])
    for part in parts:
        part._value_buffer = io.BytesIO()  # moto closes a completed upload's files, which are the object's from here on
    return whole, f"{etag}-{len(parts)}", None


def _get_records(streams: Any, iterator: str, limit: int) -> Any:
    iterators = streams.shard_iterators
    for old in [*iterators][:-ITERATORS_MAX]:
        del iterators[old]
    reader = iterators[iterator]
    if (table := streams.dynamodb.tables.get(reader.stream_shard.table.name)) and table.stream_shard:
        reader.stream_shard = table.stream_shard
    return reader.get(limit)


def _add(shard: Any, old: Any, new: Any) -> None:
    """Two INSERTs of one item in a row, with no REMOVE between them, are one write."""
    before = shard.items[-1].record if shard.items else {}
    whole_add(shard, old, new)
    if old is None and before.get("eventName") == "INSERT":
        last = shard.items[-1].record
        if before["dynamodb"]["Keys"] == last["dynamodb"]["Keys"]:
            last["dynamodb"]["SequenceNumber"] = before["dynamodb"]["SequenceNumber"]
            del shard.items[-2]


def _add_message(queue: Any, message: Any) -> None:
    """A message that another queue held before is one of its dead letters."""
    before, message.held_by = getattr(message, "held_by", None), queue.queue_arn
    if before is not None:
        vars(queue).setdefault("given_up_by", {})[message.id] = before
    whole_add_message(queue, message)


def _receive_message(response: Any) -> Any:
    answer = whole_receive_message(response)
    queue = response.sqs_backend.get_queue(response._get_queue_name())
    asked = {*response._get_param("MessageSystemAttributeNames", []), *response._get_param("AttributeNames", [])}
    for message in answer.result.get("Messages", ()) if asked & {"All", "DeadLetterQueueSourceArn"} else ():
        if (arn := vars(queue).get("given_up_by", {}).get(message["MessageId"])) is not None:
            message["Attributes"]["DeadLetterQueueSourceArn"] = arn
    return answer
