"""A job's effect on somebody's database happens once: a row there, in the same transaction as the effect.

The row names the job and the epoch of the run. A run that lost its lease to a later one finds the later epoch and is
refused; a run that comes after one that committed finds how far that one came, or its outcome. While one run's
transaction is open, the row's lock keeps the others waiting. Where the user may make no table, there is no fence, and
the effect may happen twice.
"""

from dataclasses import dataclass
from typing import Final

from shared.databases.engine import Writer, attempt
from shared.databases.schema import FENCE_TABLE, literal
from shared.errors import Transient

_CREATE: Final = f"""CREATE TABLE IF NOT EXISTS {FENCE_TABLE}
    (job_id TEXT PRIMARY KEY, epoch BIGINT NOT NULL, position TEXT)"""


@dataclass(frozen=True, slots=True)
class Fence:
    """`position`: what the last run of the job left when it committed. `kept`: is there a table to leave one in?"""

    job_id: str
    epoch: int
    kept: bool
    position: str | None = None


def pass_fence(database: Writer, job_id: str, epoch: int) -> Fence:
    """Raises Transient("fenced")."""
    if attempt(database, lambda: database.execute(_CREATE), {"permission_denied"}):
        return Fence(job_id, epoch, kept=False)
    found = database.execute(
        f"INSERT INTO {FENCE_TABLE} (job_id, epoch) VALUES ({literal(job_id)}, {int(epoch)}) "
        f"ON CONFLICT (job_id) DO UPDATE SET epoch = excluded.epoch WHERE {FENCE_TABLE}.epoch <= excluded.epoch "
        f"RETURNING position"
    )
    if not found:
        raise _fenced()
    position = found[0][0]
    return Fence(job_id, epoch, kept=True, position=None if position is None else str(position))


def leave_position(database: Writer, fence: Fence, position: str) -> None:
    """What `pass_fence` finds once this transaction is committed. Raises Transient("fenced")."""
    if fence.kept and not database.execute(
        f"UPDATE {FENCE_TABLE} SET position = {literal(position)} "
        f"WHERE job_id = {literal(fence.job_id)} AND epoch = {int(fence.epoch)} RETURNING 1"
    ):
        raise _fenced()


def _fenced() -> Transient:
    return Transient("fenced", "a later run of this job is at work in the database")
