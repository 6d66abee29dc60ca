"""What can go wrong, named by what to do next.

    Permanent     trying again cannot help       → the job is FAILED; its owner reads `code`, `message`, `field`
    Transient     the next attempt may succeed   → QUEUED again after a backoff, until attempts run out
    InvalidInput  a door refuses its input       → the producer mends `field`; nothing was written
    WorldFault    AWS itself let us down         → nobody's fault: decide nothing, let the message come back

Job handlers raise the first two. Everything foreign (botocore, sqlite3, psycopg, OSError …) is mapped to one of the
four at the seam where it enters.
"""

from typing import Final

MESSAGE_BYTES_MAX: Final = 200
"""A row keeps this much of an error's message; more of it is kept beside the row."""

CODE_BYTES_MAX: Final = 64
FIELD_BYTES_MAX: Final = 128

STORY_BYTES_MAX: Final = 8_192
"""Of a message, and of a stack, beside the row."""


class LongshoreError(Exception):
    """Base of all: a short stable `code` for programs, a `message` for people, the `field` it is about, if any."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        where = f" ({self.field})" if self.field else ""
        return f"{self.code}{where}: {self.message}"


class Permanent(LongshoreError):
    """Trying again cannot help."""


class Transient(LongshoreError):
    """Trying again may help, not earlier than `retry_after_s` seconds from now when that is given."""

    def __init__(
        self, code: str, message: str, *, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, message, field=field)
        self.retry_after_s = retry_after_s


class InvalidInput(LongshoreError):
    """A door (CLI, SDK, queue, environment) refuses its input. `problems` lists every field that is wrong."""

    def __init__(
        self, code: str, message: str, *, field: str | None = None, problems: tuple["Problem", ...] = ()
    ) -> None:
        super().__init__(code, message, field=field)
        self.problems = problems


class Problem(tuple[str, str]):
    """(path of the field, what was expected), e.g. `("options.batch_size", "a whole number of at least 1")`."""

    __slots__ = ()

    def __new__(cls, field: str, expected: str) -> "Problem":
        return super().__new__(cls, (field, expected))

    @property
    def field(self) -> str:
        return self[0]

    @property
    def expected(self) -> str:
        return self[1]


class WorldFault(LongshoreError):
    """Throttled, timed out, unreachable or denied by AWS. Decide nothing; let the message or record come back."""


class NotFound(LongshoreError):
    """No such job, queue or object for this tenant."""


class Conflict(LongshoreError):
    """The same id or idempotency key stands for something else already."""
