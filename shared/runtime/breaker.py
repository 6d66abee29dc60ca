"""Circuits, shared between workers through the table beside the jobs; decided in `shared/circuit.py`.

- A healthy world costs no write, and one read by each process that uses it every five seconds.
- An open circuit is remembered until it may close: neither read nor written, however many jobs it keeps waiting.
- Below the tenant, always: nobody's broken host stops anybody else's jobs.
- A circuit that cannot be read stops nobody; one that is open needs a probe that was surely elected.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final, TypeVar

from shared.circuit import (
    Breaker,
    Circuit,
    CircuitOpen,
    End,
    Report,
    Standing,
    after,
    circuit_json,
    elected,
    read_circuit,
    standing,
    wait_s,
)
from shared.errors import Permanent, WorldFault
from shared.ports import Ports
from shared.retry import Policy, asked_s, cause_of, is_the_worlds
from shared.runtime.logs import count, get_logger
from shared.runtime.patience import patiently

T = TypeVar("T")

FRESH_MS: Final = 5_000
PATIENCE_MS: Final = 1_000
SWAPS_MAX: Final = 8
"""Of one report, while others report too. One that is lost is one failure not counted."""

SEEN_MAX: Final = 10_000
NAME_BYTES_MAX: Final = 255
EXPIRY_S: Final = 24 * 3600

Key = tuple[str, str]
"""Where a circuit's document is: partition and sort key."""


def of_type(tenant_id: str, job_type: str) -> Key:
    """The circuit of a job type whose policy asks for one. (No job has an empty id: it is beside no row.)"""
    return f"{tenant_id}#", f"circuit#type#{job_type}"


def of_host(tenant_id: str, name: str) -> Key:
    """The circuit of what a handler names. Raises Permanent if that cannot be a key."""
    if not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
        raise Permanent("invalid_circuit", f"a name of 1 to {NAME_BYTES_MAX} bytes", field="circuit")
    return f"{tenant_id}#", f"circuit#host#{name}"


@dataclass(slots=True)
class _Seen:
    """What this process knows of one circuit. One task at a time asks or tells the table."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    circuit: Circuit | None = None
    body: str | None = None
    read_at: float = -math.inf
    candidate_at: float = -math.inf
    """When a job was last let through to stand for election."""


def _new_seen(_key: Key) -> _Seen:
    return _Seen()


class Circuits:
    """One process's view of all circuits. `guarded` calls through one; `shut_s` looks at one before a claim."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._of = lru_cache(SEEN_MAX)(_new_seen)

    async def shut_s(self, key: Key, breaker: Breaker) -> float:
        """Seconds to stay away; 0: come in. One job at a time is let in to a circuit that wants a probe."""
        seen, now = self._of(key), self._ports.now()
        async with seen.lock:
            stands = standing(await self._read(key, seen), now)
            if stands is Standing.FREE and now - seen.candidate_at >= FRESH_MS:
                seen.candidate_at, stands = now, Standing.CLOSED
        return 0.0 if stands is Standing.CLOSED else wait_s(seen.circuit, breaker, now, self._ports.dice())

    async def guarded(self, key: Key, fn: Callable[[], Awaitable[T]], policy: Policy) -> T:
        """`await fn()`, which takes up to `policy.timeout_s`. Raises CircuitOpen where the world is known to be broken:
        instead of the call, or instead of a failure that another's came before."""
        breaker = policy.circuit or Breaker()
        probe = await self._enter(key, breaker, policy.timeout_s)
        try:
            value = await fn()
        except BaseException as error:
            end = _end_of(error, policy)
            met = await self._tell(key, breaker, end, probe, asked_s(error))
            if end is End.FAILED and met is not Standing.CLOSED:
                raise self._open(key, breaker) from error
            raise
        await self._tell(key, breaker, End.ANSWERED, probe)
        return value

    async def _enter(self, key: Key, breaker: Breaker, call_s: float) -> str:
        """→ the token of an elected probe, "" where everybody may call."""
        seen = self._of(key)
        async with seen.lock:
            circuit, now = await self._read(key, seen), self._ports.now()
            stands = standing(circuit, now)
            if circuit is None or stands is Standing.CLOSED:
                return ""
            token = self._ports.token()
            if stands is Standing.FREE and await self._swapped(key, seen, elected(circuit, now, token, call_s)):
                return token
        raise self._open(key, breaker)

    async def _tell(self, key: Key, breaker: Breaker, end: End, probe: str, retry_after_s: float = 0.0) -> Standing:
        """Write what a call's end changes, if anything. → the standing that it met."""
        seen, report = self._of(key), Report(end, self._ports.now(), self._ports.token(), retry_after_s)
        async with seen.lock:
            for _ in range(SWAPS_MAX):
                found = await self._read(key, seen, fresh_ms=math.inf)
                following = after(found, breaker, report, probe)
                if following is None or following is found or await self._swapped(key, seen, following):
                    break
        return standing(found, report.now, probe)

    async def _read(self, key: Key, seen: _Seen, *, fresh_ms: float = FRESH_MS) -> Circuit | None:
        """What is open stays open; all else is asked for again after a moment."""
        now = self._ports.now()
        if now - seen.read_at >= fresh_ms and standing(seen.circuit, now) is not Standing.OPEN:
            seen.read_at = now
            try:
                seen.body = await self._ports.side.get(*key)
                seen.circuit = read_circuit(seen.body)
            except WorldFault as fault:
                get_logger().warning("circuit_unread", circuit=key, reason=str(fault))
        return seen.circuit

    async def _swapped(self, key: Key, seen: _Seen, new: Circuit) -> bool:
        """Put `new` where what was seen still is. False: perhaps it is not, and is to be read again."""
        now, old, before, body = self._ports.now(), seen.body, seen.circuit, circuit_json(new)
        swap = partial(self._ports.side.swap, *key, old=old, new=body, expires_at=now // 1000 + EXPIRY_S)
        seen.read_at = -math.inf
        try:
            swapped = await patiently(swap, self._ports, until=now + PATIENCE_MS)
        except WorldFault as fault:
            get_logger().warning("circuit_unwritten", circuit=key, reason=str(fault))
            return False
        if swapped:
            seen.body, seen.circuit, seen.read_at = body, new, now
            get_logger().info("circuit_written", circuit=key, standing=standing(new, now))
            if new.open_until > (before.open_until if before else 0):
                count("circuit_opened", circuit=key, trips=new.trips)
        return swapped

    def _open(self, key: Key, breaker: Breaker) -> CircuitOpen:
        name = key[1].removeprefix("circuit#")
        return CircuitOpen(name, wait_s(self._of(key).circuit, breaker, self._ports.now(), self._ports.dice()))


class OutOfTime(TimeoutError):
    """A call that was cut short because its run had to end: it tells nothing of whom it called."""


def _end_of(error: BaseException, policy: Policy) -> End:
    if isinstance(cause_of(error), WorldFault | OutOfTime) or not isinstance(error, Exception):
        return End.CUT_SHORT
    return End.FAILED if is_the_worlds(error, policy) else End.ANSWERED
