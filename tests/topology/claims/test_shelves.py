"""Claims in order, and by owner. The index's tests have the rest."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import OTHER, OWNER, metadata, record, route
from topology.claims.model import Record, SourceType
from topology.claims.shelves import Possessions, Shelves

ROUTES = (SourceType.RAILS_TABLE_ROUTES,)


def row(value: str, number: int, cell_id: int = 1) -> Record:
    return record(value, cell_id)._replace(metadata=metadata(value, number))


def values(shelves: Shelves, cell_id: int = 1, after: bytes = b"") -> list[str]:
    return [bucket.value for _, bucket in shelves.walk(cell_id, ROUTES, after)]


def test_they_are_walked_in_the_order_of_rows() -> None:
    shelves = Shelves()
    shelves.fill([row("c", 3), row("a", 1), row("b", 1), row("x", 2, 2)])
    assert values(shelves) == ["a", "b", "c"]
    assert values(shelves, after=(1).to_bytes(8, "big")) == ["c"]
    assert list(shelves.walk(1, (SourceType.RAILS_TABLE_USERS,), b"")) == []
    assert (shelves.count(1), shelves.count(2), shelves.count(3)) == (3, 1, 0)


def test_a_record_goes_from_shelf_to_shelf() -> None:
    shelves, here, there = Shelves(), row("a", 1), row("a", 1, 2)
    shelves.replace(None, here)
    shelves.replace(here, here)
    assert values(shelves) == ["a"]
    shelves.replace(here, there)
    assert (values(shelves), values(shelves, 2)) == ([], ["a"])
    shelves.replace(there, None)
    assert (shelves.count(1), shelves.count(2)) == (0, 0)


@pytest.mark.parametrize("many", [3, 200])
def test_many_go_at_once(many: int) -> None:
    shelves = Shelves()
    staying = [row(f"s{number}", 2 * number) for number in range(50)]
    going = [row(f"g{number}", 2 * number + 1) for number in range(many)]
    there = [row("t", 5, 2)]
    shelves.fill([*staying, *going, *there])
    moved = [record._replace(cell_id=2) for record in going]
    shelves.replace_all(zip(going, moved, strict=True))
    expected = Shelves()
    expected.fill([*staying, *moved, *there])
    assert values(shelves) == values(expected)
    assert values(shelves, 2) == values(expected, 2)
    assert (shelves.count(1), shelves.count(2)) == (50, many + 1)


def test_possessions_of_none_one_and_several() -> None:
    held = Possessions()
    assert held.of(OWNER) == ()
    held.discard(OWNER, route("a"))
    held.add(OWNER, route("a"))
    held.add(OWNER, route("a"))
    held.add(OTHER, route("x"))
    assert held.of(OWNER) == (route("a"),)
    held.discard(OWNER, route("b"))
    held.add(OWNER, route("b"))
    held.add(OWNER, route("b"))
    assert set(held.of(OWNER)) == {route("a"), route("b")}
    for value in ("a", "b"):
        held.discard(OWNER, route(value))
    assert (held.of(OWNER), held.of(OTHER)) == ((), (route("x"),))
