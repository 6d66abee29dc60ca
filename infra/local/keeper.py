"""What `--data DIR` keeps: the endpoint's whole state in a directory, so that it survives the process, even a SIGKILL.

Rules of this file:
1. One file, `state`: a snapshot, then a frame for every change since, appended before its caller hears that it was
   made. A frame that was cut off by a crash is the last one, of a change that nobody was told of.
2. Requests to tables, schedules and secrets are repeated as they were, in order, so that streams come out with the same
   sequence numbers. Messages and objects are kept as they stand after a request, under their own ids. What was received
   is visible again at once; how often is forgotten.
3. How far each consumer of a stream has come is kept as Lambda keeps it, so that no record is skipped at a restart.
4. A new snapshot replaces the file atomically: at a start, at an end, and when the changes have grown to 64 MB.

Frames are pickles: read only a directory that is yours. It holds secrets, so it is made for your eyes alone.
The operating system may lose the last seconds if the machine itself dies: nothing is forced to the disk.
"""

import fcntl
import os
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeKey

from infra.local.mended_moto import ObjectBytes
from shared.errors import InvalidInput

CHANGES_BYTES_MAX: Final = 64 << 20
READS: Final = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "List", "Describe")
REPEATED: Final = ("dynamodb", "scheduler", "secretsmanager")

Call = tuple[str, str, str, dict[str, str], bytes]
"""service, method, URL, headers, body"""

Consumer = tuple[str, str]
"""Of a stream: the function's name, the stream's ARN."""


@dataclass
class Snapshot:
    """`objects`: (bucket, key) → (the object's attributes, the file of its bytes)."""

    moto: str = version("moto")
    tables: dict[str, Any] = field(default_factory=dict)
    schedule_groups: dict[str, Any] = field(default_factory=dict)
    secrets: Any = None
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[tuple[str, str], tuple[dict[str, Any], str]] = field(default_factory=dict)
    positions: dict[Consumer, str] = field(default_factory=dict)


class Keeper:
    """`restore()` once the stack is made; then `note()` after each request that succeeded; `close()` at the end.

    Raises InvalidInput for a directory that another cloud uses, or that another version of moto has written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "objects").mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._lock = (directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise InvalidInput("data_taken", f"another local cloud uses {directory}", field="--data") from error
        self._file: IO[bytes] | None = None
        self._kept = Snapshot()
        self._consumers: set[Consumer] = set()

    def restore(self, call: Callable[[Call], object], region: str) -> bool:
        """Put everything back where it was; → whether there was anything. `call` carries out a request again."""
        frames = self._frames()
        first = next(frames, None)
        if first is not None:
            self._kept = first
            self._install_tables(region)
            for kind, *what in frames:
                if kind == "call":
                    call(what[0])
                else:
                    self._apply(kind, *what)
            self._install_messages(region)
            self._install_objects()
        self._snapshot(region)
        return first is not None

    def note(self, call: Call, region: str) -> None:
        """A request has succeeded: keep what it has changed."""
        service, method, url, headers, body = call
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        if service == "sqs":
            self._note_messages(region)
        elif service == "s3" and method in ("PUT", "POST", "DELETE"):
            self._note_objects(*_bucket_and_key(url))
        elif service in REPEATED and method != "GET" and not operation.startswith(READS):
            self._append("call", (service, method, url, dict(headers), body))
        if self._file is not None and self._file.tell() > CHANGES_BYTES_MAX:
            self._snapshot(region)

    def position(self, function: str, stream_arn: str) -> str | None:
        """The last record of the stream that the function is done with. Asking makes it a consumer: what it is not
        done with is kept."""
        consumer = (function, stream_arn)
        self._consumers.add(consumer)
        if consumer not in self._kept.positions:
            self.note_position(function, stream_arn, "0")
        at = self._kept.positions[consumer]
        return None if at == "0" else at

    def note_position(self, function: str, stream_arn: str, sequence: str) -> None:
        self._change("position", (function, stream_arn), sequence)

    def close(self, region: str) -> None:
        if self._file is not None:
            kept = self._kept.positions.items()
            self._kept.positions = {consumer: at for consumer, at in kept if consumer in self._consumers}
            self._snapshot(region)
            self._file.close()
        self._lock.close()

    # ------------------------------------------------------------------------------------------ the file

    def _frames(self) -> Iterator[Any]:
        path = self._directory / "state"
        if not path.exists():
            return
        with path.open("rb") as file:
            while True:
                try:
                    frame = pickle.load(file)  # noqa: S301  # the user's own directory, as its option says
                except (EOFError, pickle.UnpicklingError):
                    return
                if isinstance(frame, Snapshot) and frame.moto != version("moto"):
                    raise InvalidInput(
                        "data_version", f"moto {frame.moto} wrote this, and {version('moto')} runs", field="--data"
                    )
                yield frame

    def _append(self, kind: str, *what: Any) -> None:
        if self._file is not None:
            self._file.write(pickle.dumps((kind, *what)))

    def _change(self, kind: str, *what: Any) -> None:
        self._append(kind, *what)
        self._apply(kind, *what)

    def _apply(self, kind: str, key: Any, value: Any) -> None:
        """`kind` is message, object or position; None: it is gone."""
        if kind == "message":
            queue, message_id = key
            kept: dict[Any, Any] = self._kept.messages.setdefault(queue, {})
            key = message_id
        else:
            kept = self._kept.objects if kind == "object" else self._kept.positions
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value

    def _snapshot(self, region: str) -> None:
        self._kept.tables = dict(_backend("dynamodb", region).tables)
        self._kept.schedule_groups = dict(_backend("scheduler", region).schedule_groups)
        self._kept.secrets = _backend("secretsmanager", region).secrets
        self._trim_streams()
        if self._file is not None:
            self._file.close()
        fresh = self._directory / "state.new"
        with fresh.open("wb") as file:
            pickle.dump(self._kept, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._directory / "state")
        self._file = (self._directory / "state").open("ab", buffering=0)
        used = {name for _, name in self._kept.objects.values()}
        for path in (self._directory / "objects").iterdir():
            if path.name not in used:
                path.unlink()

    # ------------------------------------------------------------------------------------------ tables

    def _install_tables(self, region: str) -> None:
        _backend("dynamodb", region).tables.update(self._kept.tables)
        _backend("scheduler", region).schedule_groups.update(self._kept.schedule_groups)
        _backend("secretsmanager", region).secrets.update(self._kept.secrets)

    def _trim_streams(self) -> None:
        """Forget what every consumer is done with."""
        for table in self._kept.tables.values():
            positions = [int(at) for (_, arn), at in self._kept.positions.items() if arn.startswith(table.table_arn)]
            if (shard := table.stream_shard) is not None and positions:
                done = max(0, min(positions) + 1 - shard.starting_sequence_number)
                shard.starting_sequence_number += len(shard.items[:done])
                del shard.items[:done]

    # ------------------------------------------------------------------------------------------ messages

    def _note_messages(self, region: str) -> None:
        """Whatever has come or gone, by a send, a delete, a purge, a move to the dead letters: first what has come."""
        changes = []
        for name, queue in _backend("sqs", region).queues.items():
            there = {message.id: message for message in queue._messages}
            known = self._kept.messages.get(name, {})
            changes += [((name, one), there[one]) for one in there.keys() - known.keys()]
            changes += [((name, one), None) for one in known.keys() - there.keys()]
        for key, message in sorted(changes, key=lambda change: change[1] is None):
            self._change("message", key, message)

    def _install_messages(self, region: str) -> None:
        for name, queue in _backend("sqs", region).queues.items():
            messages = self._kept.messages.get(name, {}).values()
            for message in sorted(messages, key=lambda message: message.sent_timestamp):
                message.visible_at, message.approximate_receive_count = 0.0, 0
                queue._messages.append(message)

    # ------------------------------------------------------------------------------------------ objects

    def _note_objects(self, bucket: str, key: str) -> None:
        """An object as it is after a request for it; after one for the bucket, whatever is gone."""
        known = self._kept.objects
        there = _buckets()[bucket].keys if bucket in _buckets() else {}
        for gone in [name for name in known if name[0] == bucket and name[1] not in there and key in ("", name[1])]:
            self._change("object", gone, None)
        found = there.get(key)
        before = known.get((bucket, key))
        if found is not None and (before is None or before[0]["last_modified"] != found.last_modified):
            name = uuid.uuid4().hex
            with (self._directory / "objects" / name).open("wb") as file:
                file.writelines(_chunks(found.value))
            attributes = {name: value for name, value in vars(found).items() if name not in ("_value_buffer", "lock")}
            self._change("object", (bucket, key), (attributes | {"multipart": None}, name))

    def _install_objects(self) -> None:
        for (bucket, key), (attributes, name) in self._kept.objects.items():
            if bucket in _buckets():
                restored = FakeKey.__new__(FakeKey)
                buffer = _Stored(self._directory / "objects" / name)
                vars(restored).update(attributes | {"_value_buffer": buffer, "lock": threading.Lock()})
                _buckets()[bucket].keys[key] = restored


class _Stored:
    """The bytes of an object, read from its file when asked for: no descriptor stays open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def seek(self, at: int) -> None:
        self._at = at

    def read(self, size: int = -1) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._at)
            piece = file.read(size)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Holds nothing to release."""


def _bucket_and_key(url: str) -> tuple[str, str]:
    """The bucket is the first part of the path, or of the host."""
    parts = urlsplit(url)
    host, path = (parts.hostname or "").partition(".")[0], unquote(parts.path).lstrip("/")
    bucket, _, key = path.partition("/")
    return (host, path) if host in _buckets() else (bucket, key)


def _chunks(value: bytes | ObjectBytes) -> Iterator[bytes]:
    return iter([value]) if isinstance(value, bytes) else value.chunks()


def _backend(service: str, region: str) -> Any:
    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]  # type: ignore[call-overload]  # a literal of 200 names


def _buckets() -> Mapping[str, Any]:
    buckets: Mapping[str, Any] = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets
    return buckets
