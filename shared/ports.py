"""What the core asks of the world. Each port has two adapters, AWS and memory, held to one suite (`tests/contract`).

Adapters map foreign errors at the seam: throttling, time-outs, refusals of access and lost connections become
`WorldFault`; what is not there becomes None or NotFound. They retry what is safe to repeat, with jitter.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared.job import Job
from shared.moves import Move
from shared.payloads.base import Encryption
from shared.remote_training import Trainers

Clock = Callable[[], int]
"""→ milliseconds since the Unix epoch"""

Dice = Callable[[], float]
"""→ a number in [0, 1)"""

Tokens = Callable[[], str]
"""→ a fresh random name of 16 hex digits, one per intention"""


# --- the row ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Applied:
    """The write was made (now, or earlier with its answer lost); the row as it is after it, or as its writer knew it
    would be (`moves.foreseen`)."""

    job: Job


@dataclass(frozen=True, slots=True)
class Refused:
    """The condition did not hold; the row that refused it, or None if there is none."""

    job: Job | None


@dataclass(frozen=True, slots=True)
class Page:
    jobs: tuple[Job, ...]
    cursor: str | None
    """Give it back to go on; None: that was all."""
    unreadable: tuple[str, ...] = ()
    """Keys of what a scan found that is no job: another program's, or damaged."""


class JobStore(Protocol):
    async def apply(self, move: Move) -> Applied | Refused:
        """One conditional write. `Applied` also where the image shows that this very write was made before."""
        ...

    async def get(self, tenant_id: str, job_id: str) -> Job | None:
        """A consistent read."""
        ...

    async def get_many(self, tenant_id: str, job_ids: Sequence[str]) -> Sequence[Job | None]:
        """Consistent reads of up to 100 rows, in the order of their ids."""
        ...

    async def list(self, tenant_id: str, *, limit: int, cursor: str | None = None) -> Page:
        """A tenant's jobs, newest first. Eventually consistent: for people, not for decisions."""
        ...

    async def scan(self, *, cursor: str | None = None) -> Page:
        """One page (up to 1 MB) of every tenant's jobs, in no order. Eventually consistent; half a read unit per 4 KB.

        A page may be empty and still have a cursor.
        """
        ...


class SideStore(Protocol):
    """Items beside the rows, in the table without a stream: write-once payloads, stacks, older history, quarantine;
    and small documents that change by `swap` alone: circuit breakers, tallies."""

    async def put_once(self, pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
        """False if something is there already (it is left as it is). `expires_at` in seconds. Body up to 350 KB."""
        ...

    async def get(self, pk: str, sk: str) -> str | None: ...

    async def swap(self, pk: str, sk: str, *, old: str | None, new: str | None, expires_at: int | None = None) -> bool:
        """Replace the body `old` by `new` (None: nothing is there, leave nothing there). False: it is not `old`.

        True also where it is `new` already: a repeated request whose answer was lost. So let every `new` be another.
        """
        ...

    async def unite(
        self, pk: str, sk: str, sets: Mapping[str, Collection[int]], *, expires_at: int
    ) -> Mapping[str, frozenset[int]]:
        """Add numbers to the named sets of an item, which begins empty; → all its sets as they are then.

        Repeating it changes nothing. `sets` has at least one number. `expires_at` in seconds.
        """
        ...

    async def united(self, keys: Sequence[tuple[str, str]]) -> Sequence[Mapping[str, frozenset[int]]]:
        """The sets of up to 100 items, in the order of their (pk, sk), by consistent reads; empty where none is."""
        ...

    async def query(
        self, pk: str, *, limit: int, prefix: str = "", up_to: str | None = None
    ) -> Sequence[tuple[str, str]]:
        """(sk, body) of the sort keys that begin with `prefix`, the newest (greatest) first; or of all `up_to` this
        one, the smallest first."""
        ...


# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to the queue of `job_type`; `delay_s` is 0 to 900 (SQS DelaySeconds)."""

    job_type: str
    body: str
    delay_s: int = 0
    group: str | None = None
    """MessageGroupId: the tenant, for fair queues."""
    returned: int = 0
    """How often it has come back from the dead-letter queue."""
    lane: str | None = None
    """Of the type's lanes (`shared/lanes.py`), if it has any."""


@dataclass(frozen=True, slots=True)
class Message:
    """One received message. `receives` counts deliveries, this one included; `sent_at` is SQS's SentTimestamp."""

    message_id: str
    receipt: str
    body: str
    receives: int
    sent_at: int
    returned: int = 0
    """As its sender counted: `Outgoing.returned`."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds, as SQS guesses: they may be received; somebody has them; their delay runs."""

    waiting: int
    in_flight: int
    delayed: int


DEAD_LETTERS: Final = "dead-letters"
"""In the place of a job type: the stack's one dead-letter queue."""


class Queues(Protocol):
    """Beyond `send`, a queue is named by its job type, or as its lane is: `generic-urgent`."""

    async def queues_of(self, job_type: str) -> Sequence[str]:
        """Its lanes and its own queue, the most urgent first; of a type without lanes, its own queue."""
        ...

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[int]:
        """Any number, batched by ten; → the indexes of those that were not taken. WorldFault if none could be.

        NotFound, its field the job type, if a type has no queue: nothing was sent then.
        """
        ...

    async def receive(self, queue: str, *, max_messages: int, wait_s: int) -> Sequence[Message]: ...

    async def delete(self, queue: str, receipts: Sequence[str]) -> None: ...

    async def hide(self, queue: str, receipt: str, *, seconds: int) -> None:
        """Change visibility: the message comes back after `seconds` (0 to 43,200). An old receipt changes nothing."""
        ...

    async def depth(self, queue: str) -> Depth:
        """Approximate, and for people: up to a minute old. NotFound, its field the queue, if there is none."""
        ...


class Schedules(Protocol):
    async def wake_at(self, name: str, at: int, message: Outgoing) -> None:
        """Send `message` at `at` (milliseconds; the minute counts). The same name again changes nothing."""
        ...


# --- objects and secrets ----------------------------------------------------------------------------------------------


class Upload(Protocol):
    """A stream into one object, a few parts in memory. Nothing is there before `complete` or after `abort`."""

    size_bytes: int
    sha256: str
    """Hex, of all that was written, once complete."""

    async def write(self, chunk: bytes) -> None: ...
    async def complete(self) -> None: ...
    async def abort(self) -> None: ...


class Objects(Protocol):
    bucket: str

    async def put(self, key: str, body: bytes, *, content_type: str = "application/json") -> None: ...

    async def get(self, key: str) -> bytes | None: ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Chunks of at most 8 MiB. Raises NotFound at the first step if the object is not there."""
        ...

    async def upload(self, key: str, *, encryption: Encryption | None = None) -> Upload: ...

    async def presign(self, key: str, *, seconds: int) -> str:
        """An address that anybody may GET for `seconds` (1 to 900: it dies with the session of the role that signs)."""
        ...

    async def presign_upload(self, key: str, *, size_bytes: int, seconds: int) -> str:
        """An address that anybody may PUT exactly `size_bytes` to, for `seconds` (1 to 900)."""
        ...


class Secrets(Protocol):
    async def get(self, name: str) -> str | None:
        """The value of the secret `{stack}/{name}`. The caller sees to it that `name` begins with the tenant's id."""
        ...

    async def put(self, name: str, value: str) -> None: ...

    async def delete(self, name: str) -> None:
        """At once and for good; nothing happens if there is none."""
        ...


class Mail(Protocol):
    async def send(self, message: bytes, *, sender: str, recipients: Sequence[str], tags: Mapping[str, str]) -> str:
        """Hand over one mail (RFC 5322), once: nothing on the way repeats it. → the id that it was given.

        `tags` come back with what is told of it later: letters, digits, `_` and `-`.

        It was surely not taken after Permanent("mail_refused") and Transient, which says how long to pause; after
        WorldFault nobody knows.
        """
        ...


class Connections(Protocol):
    """Open WebSockets, by the id that the gateway gave them."""

    async def post(self, connection_id: str, data: bytes) -> bool:
        """Send a text of up to 32 KB. False: nobody is there any more."""
        ...

    async def close(self, connection_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them, as the wiring hands them out."""

    jobs: JobStore
    side: SideStore
    queues: Queues
    schedules: Schedules
    objects: Objects
    secrets: Secrets
    connections: Connections
    mail: Mail
    trainers: Trainers
    now: Clock
    dice: Dice
    token: Tokens
