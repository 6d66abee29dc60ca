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
from typing import Final, TypeVar

from structlog.stdlib import BoundLogger

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
from shared.runtime.logs import get_logger
from shared.runtime.patience import patiently

T = TypeVar("T")

FRESH_MS: Final = 5_000
PATIENCE_MS: Final = 1_000
SWAPS_MAX: Final = 10
"""Of one report, while others report too. One that is lost is one failure not counted."""

SEEN_MAX: Final = 10_000
NAME_BYTES_MAX: Final = 255
EXPIRY_S: Final = 24 * 3600

Key = tuple[str, str]
"""(tenant, name): `type#…` of a job type, `host#…` of what a handler names"""


@dataclass(slots=True)
class _Seen:
    """What this process knows of one circuit. One task at a time asks or tells the table."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    body: str | None = None
    read_at: float = -math.inf
    candidate_at: float = -math.inf
    """When a job was last let through to stand for election."""


class Circuits:
    """One process's view of all circuits. `guarded` calls through one; `shut_s` looks at one before a claim."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._seen: dict[Key, _Seen] = {}

    async def shut_s(self, key: Key, breaker: Breaker) -> float:
        """Seconds to stay away; 0: come in. One job at a time is let in to a circuit that wants a probe."""
        seen, now = self._of(key), self._ports.now()
        async with seen.lock:
            circuit = await self._read(key, seen)
            stands = standing(circuit, now)
            if stands is Standing.FREE and now - seen.candidate_at >= FRESH_MS:
                seen.candidate_at = now
                return 0.0
        return 0.0 if stands is Standing.CLOSED else wait_s(circuit, breaker, now, self._ports.dice())

    async def guarded(self, key: Key, fn: Callable[[], Awaitable[T]], policy: Policy) -> T:
        """`await fn()`, which takes up to `policy.timeout_s`. Raises CircuitOpen where the world is known to be broken:
        instead of the call, or instead of a failure that another's came before."""
        breaker = policy.circuit or Breaker()
        probe = await self._enter(key, breaker, policy)
        try:
            value = await fn()
        except BaseException as error:
            report = Report(_end_of(error, policy), self._ports.now(), self._ports.token(), asked_s(error))
            met = await self._tell(key, breaker, report, probe)
            if report.end is End.FAILED and met is not Standing.CLOSED:
                raise self._open(key, breaker) from error
            raise
        await self._tell(key, breaker, Report(End.ANSWERED, self._ports.now(), self._ports.token()), probe)
        return value

    async def _enter(self, key: Key, breaker: Breaker, policy: Policy) -> str:
        """→ the token of an elected probe, "" where everybody may call."""
        seen = self._of(key)
        async with seen.lock:
            circuit, now = await self._read(key, seen), self._ports.now()
            stands = standing(circuit, now)
            if stands is Standing.CLOSED:
                return ""
            if stands is Standing.FREE and circuit is not None:
                token = self._ports.token()
                if await self._elected(key, seen, elected(circuit, now, token, policy.timeout_s)):
                    return token
        raise self._open(key, breaker)

    async def _elected(self, key: Key, seen: _Seen, probing: Circuit) -> bool:
        try:
            won = await self._swapped(key, seen, probing)
        except WorldFault as fault:
            _logger(key).warning("circuit_unwritten", reason=str(fault))
            return False
        if won:
            _logger(key).info("circuit_probed")
        return won

    async def _tell(self, key: Key, breaker: Breaker, report: Report, probe: str) -> Standing:
        """Write what a call's end changes, if anything. → the standing that it met."""
        seen = self._of(key)
        async with seen.lock:
            for _ in range(SWAPS_MAX):
                found = read_circuit(seen.body)
                following = after(found, breaker, report, probe)
                if following is found:
                    break
                try:
                    if await self._swapped(key, seen, following):
                        _log_change(key, following)
                        break
                except WorldFault as fault:
                    _logger(key).warning("circuit_unwritten", reason=str(fault))
                    break
                await self._read(key, seen)
        return standing(found, report.now, probe)

    async def _read(self, key: Key, seen: _Seen) -> Circuit | None:
        """Fresh enough: what is open stays open; all else is asked for again after a moment."""
        now = self._ports.now()
        circuit = read_circuit(seen.body)
        if now - seen.read_at < FRESH_MS or standing(circuit, now) is Standing.OPEN:
            return circuit
        try:
            seen.body = await self._ports.side.get(*_address(key))
        except WorldFault as fault:
            _logger(key).warning("circuit_unread", reason=str(fault))
        seen.read_at = now
        return read_circuit(seen.body)

    async def _swapped(self, key: Key, seen: _Seen, new: Circuit | None) -> bool:
        """Put `new` where what was seen still is. False: it is not, and is to be read again."""
        now, old, body = self._ports.now(), seen.body, circuit_json(new)
        expires_at = now // 1000 + EXPIRY_S

        async def swap() -> bool:
            return await self._ports.side.swap(*_address(key), old=old, new=body, expires_at=expires_at)

        seen.read_at = -math.inf
        if not await patiently(swap, self._ports, until=now + PATIENCE_MS):
            return False
        seen.body, seen.read_at = body, now
        return True

    def _of(self, key: Key) -> _Seen:
        if key not in self._seen and len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        return self._seen.setdefault(key, _Seen())

    def _open(self, key: Key, breaker: Breaker) -> CircuitOpen:
        known = read_circuit(self._of(key).body)
        return CircuitOpen(key[1], wait_s(known, breaker, self._ports.now(), self._ports.dice()))


def of_type(tenant_id: str, job_type: str) -> Key:
    """The circuit of a job type whose policy asks for one."""
    return tenant_id, f"type#{job_type}"


def of_host(tenant_id: str, name: str) -> Key:
    """The circuit of what a handler names. Raises Permanent if that cannot be a key."""
    if not 1 <= len(name.encode()) <= NAME_BYTES_MAX:
        raise Permanent("invalid_circuit", f"a name of 1 to {NAME_BYTES_MAX} bytes", field="circuit")
    return tenant_id, f"host#{name}"


def _address(key: Key) -> tuple[str, str]:
    """No job has an empty id: these items are beside no row."""
    return f"{key[0]}#", f"circuit#{key[1]}"


def _end_of(error: BaseException, policy: Policy) -> End:
    if isinstance(cause_of(error), WorldFault) or not isinstance(error, Exception):
        return End.CUT_SHORT
    return End.FAILED if is_the_worlds(error, policy) else End.ANSWERED


def _log_change(key: Key, circuit: Circuit | None) -> None:
    if circuit is None or circuit.open_until:
        _logger(key).warning("circuit_closed" if circuit is None else "circuit_opened")


def _logger(key: Key) -> BoundLogger:
    return get_logger(tenant_id=key[0], circuit=key[1])
