"""Names that the system gives."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.ids import derived_job_id, new_job_id, row_key, uuid7_hex

TIMES = st.integers(0, (1 << 48) - 1)
DICE = st.binary(min_size=10, max_size=10)
NAMES = st.text(min_size=1).filter(lambda name: "#" not in name)


@given(TIMES, DICE)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(now_ms: int, dice: bytes) -> None:
    made = uuid.UUID(uuid7_hex(now_ms, dice))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_ms


@given(TIMES, TIMES, DICE, DICE)
def test_ids_sort_by_their_time(one: int, other: int, first: bytes, second: bytes) -> None:
    if one < other:
        assert new_job_id(one, first) < new_job_id(other, second)


@given(TIMES, DICE, DICE)
def test_other_dice_give_another_id(now_ms: int, first: bytes, second: bytes) -> None:
    """Six of the 80 bits are the version's and the variant's."""
    significant = [int.from_bytes(dice) & ((1 << 74) - 1) for dice in (first, second)]
    assert (new_job_id(now_ms, first) == new_job_id(now_ms, second)) == (significant[0] == significant[1])


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_two_pairs_share_a_key(tenant: str, job: str, other_tenant: str, other_job: str) -> None:
    same = (tenant, job) == (other_tenant, other_job)
    assert (row_key(tenant, job) == row_key(other_tenant, other_job)) == same


@pytest.mark.parametrize(
    ("tenant_id", "job_id", "field"), [("a#b", "c", "tenant_id"), ("a", "b#c", "job_id"), ("", "c", "tenant_id")]
)
def test_a_name_that_could_forge_another_key_is_refused_by_its_field(tenant_id: str, job_id: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        row_key(tenant_id, job_id)
    assert refusal.value.field == field


def test_the_same_parts_give_the_same_id_and_shifted_ones_another() -> None:
    assert derived_job_id("acme", "backup", "key") == derived_job_id("acme", "backup", "key")
    assert derived_job_id("acme", "backup", "key") != derived_job_id("acme", "backupkey", "")
