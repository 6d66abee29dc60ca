"""What a handler gets beside its payload."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog
from pydantic import JsonValue, TypeAdapter

from shared.errors import NotFound, Permanent
from shared.job import RESULT_NAME, Job, compact_json
from shared.outcomes import Partial, Proceed, Snooze, WaitFor
from shared.payloads.base import Encryption
from shared.ports import Ports, Upload
from shared.runtime.breaker import Circuits
from shared.runtime.children import Children
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.retrying import Retrying
from shared.runtime.run import Run
from shared.verdict import shortened

__all__ = ["Context", "Partial", "Proceed", "Snooze", "WaitFor"]

T = TypeVar("T")

OPEN_DATABASES: Final = "LONGSHORE_OPEN_DATABASES"

PROGRESS_TEXT_BYTES_MAX: Final = 120
PROGRESS_METADATA_BYTES_MAX: Final = 1_024

CALL_ENDS_BEFORE_MS: Final = 1_000
"""A call is cut short this long before its run is: what it meant can still be told."""

JSON: Final[TypeAdapter[JsonValue]] = TypeAdapter(JsonValue)


class Context:
    """One run's context. `job_id`, `tenant_id`, `attempt` (from 1), `epoch`, `life` (redrives), `checkpoint`, `log`,
    `artifacts`; `children`: how those ended that the job waited for.

    `retry(fn, *args, …)` and the decorator `retrying(…)` call whatever may fail: `shared/runtime/retrying.py`.
    """

    def __init__(
        self, run: Run, ports: Ports, log: structlog.stdlib.BoundLogger, circuits: Circuits | None = None
    ) -> None:
        job = run.job
        self.job_id, self.tenant_id = job.job_id, job.tenant_id
        self.attempt, self.epoch = job.attempts + 1, job.epoch
        self.checkpoint = job.checkpoint
        self.life = job.redrives or 0
        self.log = log
        self.artifacts = Artifacts(job, ports)
        self.children = Children(run, ports)
        again = Retrying(ports, job.tenant_id, circuits or Circuits(ports), log, run.ends_at - CALL_ENDS_BEFORE_MS)
        self.retry, self.retrying = again.retry, again.retrying
        self._run = run
        self._ports = ports

    @property
    def ports(self) -> Ports:
        """For the system's own job types: everything else needs no more than the rest of this class."""
        return self._ports

    @property
    def time_left_s(self) -> float:
        """Seconds until this run is stopped."""
        return max(0, self._run.ends_at - self._ports.now()) / 1000

    @property
    def cancelled(self) -> bool:
        """Has this run been told to stop? For `def` handlers; an `async def` handler is cancelled by itself."""
        return self._run.stop is not None

    def progress(
        self,
        current: int,
        total: int | None = None,
        *,
        message: str = "",
        context: str = "",
        indent_level: int = 0,
        metadata: dict[str, JsonValue] | None = None,
    ) -> None:
        """How far the job is: `current` of `total` (unknown: None). Cheap: call it as often as you like.

        It reaches the row after 1 s, then at most every 5 s, and with the settlement. Fractions are cut off, long texts
        shortened; `metadata` of over 1,024 bytes as JSON raises Permanent("progress_too_large").
        """
        words = {"message": message, "context": context}
        fields: dict[str, object] = {"current": int(current), "total": None if total is None else int(total)}
        fields |= {name: shortened(text, PROGRESS_TEXT_BYTES_MAX) for name, text in words.items() if text}
        fields |= {"indent_level": indent_level} if indent_level else {}
        fields |= {"metadata": _small(metadata)} if metadata else {}
        self._run.progress = compact_json(fields)

    async def once(self, name: str, fn: Callable[[str], Awaitable[T]]) -> T:
        """The value of `fn(idempotency_key)`, which is awaited once for the whole job if it can be helped.

        The value must be JSON. A run that dies inside `fn` leaves nothing behind: the next calls it again with the same
        key, so hand the key to whatever `fn` talks to.
        """
        pk, sk = f"{self.tenant_id}#{self.job_id}", f"once#{name}"
        kept = await self._ports.side.get(pk, sk)
        if kept is None:
            value = await fn(f"{self.job_id}:{name}")
            expires_at = (self._ports.now() + SIDE_RETENTION_MS) // 1000
            await self._ports.side.put_once(pk, sk, compact_json(value), expires_at=expires_at)
            kept = await self._ports.side.get(pk, sk) or "null"
        return JSON.validate_json(kept)  # type: ignore[return-value]  # the JSON of a T

    async def secret(self, name: str, *, field: str = "database") -> str:
        """The tenant's own secret `name`, which the payload names in `field`. Raises Permanent("no_such_secret")."""
        value = await self._ports.secrets.get(f"{self.tenant_id}/{name}")
        if value is None:
            raise Permanent("no_such_secret", f"no secret {name!r} for this tenant", field=field)
        return value

    async def database_url(self, reference: str) -> str:
        """A payload's database reference → the connection URL it stands for. Never log or keep what comes back.

        What is not the tenant's own secret is the worker's: its files, variables and network. Raises
        Permanent("database_not_open") where tenants share workers (`OPEN_DATABASES` is "0").
        """
        scheme, _, name = reference.partition("://")
        if scheme == "secret":
            return await self.secret(name)
        if os.environ.get(OPEN_DATABASES) == "0":
            message = "only databases that are secrets of the tenant (secret://NAME) are open to it here"
            raise Permanent("database_not_open", message, field="database")
        match scheme:
            case "env":
                variable = f"LONGSHORE_DATABASE_{name.upper()}"
                if variable not in os.environ:
                    raise Permanent("no_such_database", f"the worker has no variable {variable}", field="database")
                return os.environ[variable]
        return reference


class Artifacts:
    """Files of a job: written below its own run's prefix, read below its own tenant's."""

    def __init__(self, job: Job, ports: Ports) -> None:
        self._prefix = job.prefix
        self._tenant_prefix = f"artifacts/{job.tenant_id}/"
        self._objects = ports.objects

    @asynccontextmanager
    async def create(self, name: str, encryption: Encryption | None = None) -> AsyncIterator["ArtifactUpload"]:
        """Stream one file: `async with context.artifacts.create("orders.csv") as upload: await upload.write(chunk)`.

        It exists once the block has ended well; any exception leaves nothing. Raises Permanent("reserved_name").
        """
        if name == RESULT_NAME:
            raise Permanent("reserved_name", f"{name} is the job's own result document", field="name")
        key = self._prefix + name
        upload = await self._objects.upload(key, encryption=encryption)
        handle = ArtifactUpload(upload, f"s3://{self._objects.bucket}/{key}")
        try:
            yield handle
        except BaseException:
            await upload.abort()
            raise
        await upload.complete()

    def place(self, name: str) -> str:
        """The URL of this run's file or folder `name`, for others who write it."""
        return f"s3://{self._objects.bucket}/{self._prefix}{name}"

    async def read(self, url: str, *, field: str = "url") -> AsyncIterator[bytes]:
        """Stream one of the tenant's own files, which the payload names in `field`.

        Raises Permanent("no_such_artifact"): for another tenant's, too.
        """
        key = url.removeprefix(f"s3://{self._objects.bucket}/")
        gone = Permanent("no_such_artifact", f"no artefact {url}", field=field)
        if not key.startswith(self._tenant_prefix):
            raise gone
        try:
            async for chunk in self._objects.stream(key):
                yield chunk
        except NotFound:
            raise gone from None


class ArtifactUpload:
    """`write(chunk)`; after the block: `url`, `size_bytes`, `sha256` (hex)."""

    def __init__(self, upload: Upload, url: str) -> None:
        self._upload = upload
        self.url = url

    @property
    def size_bytes(self) -> int:
        return self._upload.size_bytes

    @property
    def sha256(self) -> str:
        return self._upload.sha256

    async def write(self, chunk: bytes) -> None:
        await self._upload.write(chunk)


def _small(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    size_bytes = len(compact_json(metadata).encode("utf-8", "replace"))
    if size_bytes > PROGRESS_METADATA_BYTES_MAX:
        allowed = f"{size_bytes:,} bytes; at most {PROGRESS_METADATA_BYTES_MAX:,}"
        raise Permanent("progress_too_large", allowed, field="metadata")
    return metadata
