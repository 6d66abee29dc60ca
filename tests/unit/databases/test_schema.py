"""Tables as plain data."""

from itertools import permutations

import pytest

from shared.databases.manifest import file_names
from shared.databases.schema import Column, ForeignKey, Schema, Table, in_load_order, query_table, quote
from shared.errors import Permanent


def table(name: str, *parents: str) -> Table:
    return Table(name, (Column("id"),), foreign_keys=tuple(ForeignKey(("id",), parent, ("id",)) for parent in parents))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_parents_come_before_their_children_whatever_the_order_was(order: tuple[int, ...]) -> None:
    tables = [table("a", "d"), table("b", "a", "c"), table("c", "c"), table("d")]
    names = [each.name for each in in_load_order(tables[place] for place in order)]
    assert names == ["c", "d", "a", "b"]


def test_a_cycle_has_an_order_too() -> None:
    tables = [table("egg", "chicken"), table("chicken", "egg", "farm"), table("farm"), table("omelette", "egg")]
    assert [each.name for each in in_load_order(tables)] == ["farm", "chicken", "egg", "omelette"]


def test_a_name_is_quoted_whatever_is_in_it() -> None:
    assert quote('a"; DROP TABLE b; --') == '"a""; DROP TABLE b; --"'
    assert Table('x"y', (), space="public").identifier == '"public"."x""y"'
    assert Table("sales.x", (), space="sales").identifier == '"sales"."x"'


def test_a_table_that_is_not_there_is_named_by_its_place() -> None:
    schema = Schema("sqlite", (table("a"), table("b")))
    assert [each.name for each in schema.chosen(["b"]).tables] == ["b"]
    with pytest.raises(Permanent) as caught:
        schema.chosen(["b", "z"])
    assert (caught.value.code, caught.value.field) == ("no_such_table", "tables.1")


def test_a_querys_columns_get_names_of_their_own() -> None:
    columns = [Column(name) for name in ("a", "a", "a_2", "a")]
    assert query_table("SELECT 1", columns).column_names == ("a", "a_2", "a_2_2", "a_3")


def test_files_have_names_that_are_safe_everywhere() -> None:
    names = file_names(["orders", "Orders", "../etc", "ünï", "table-1-x", "manifest", "x" * 200, ".hidden"], ".csv")
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert names["orders"] == "orders.csv"
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzO_.-0123456789") for name in names.values())
    assert all(name[0] not in ".-" and len(name) < 110 for name in names.values())
