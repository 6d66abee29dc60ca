"""A job's effect on somebody's database happens once: a row there, in the same transaction as the effect.

The row names the job and the epoch of the run. A run that lost its lease to a later one finds the later epoch and is
refused; a run that comes after one that committed finds its outcome. While one run's transaction is open, the row's
lock keeps the others waiting. Where the user may make no table, there is no fence, and the effect may happen twice.
"""

from typing import Final

from shared.databases.engine import Writer, attempt
from shared.databases.schema import FENCE_TABLE, literal
from shared.errors import Transient

_CREATE: Final = f"""CREATE TABLE IF NOT EXISTS {FENCE_TABLE}
    (job_id TEXT PRIMARY KEY, epoch BIGINT NOT NULL, position TEXT)"""


def pass_fence(database: Writer, job_id: str, epoch: int) -> str | None:
    """What an earlier run of the job left when it committed, or None. Raises Transient("fenced")."""
    if attempt(database, lambda: database.execute(_CREATE), {"permission_denied"}):
        return None
    found = database.execute(
        f"INSERT INTO {FENCE_TABLE} (job_id, epoch) VALUES ({literal(job_id)}, {int(epoch)}) "
        f"ON CONFLICT (job_id) DO UPDATE SET epoch = excluded.epoch WHERE {FENCE_TABLE}.epoch <= excluded.epoch "
        f"RETURNING position"
    )
    if not found:
        raise Transient("fenced", "a later run of this job is at work in the database")
    position = found[0][0]
    return None if position is None else str(position)


def leave_outcome(database: Writer, job_id: str, outcome: str) -> None:
    """What `pass_fence` returns once this transaction is committed."""
    update = f"UPDATE {FENCE_TABLE} SET position = {literal(outcome)} WHERE job_id = {literal(job_id)}"
    attempt(database, lambda: database.execute(update), {"no_such_table"})
