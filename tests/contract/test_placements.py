"""The contract of placements: one suite, over memory and over a real etcd."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from tests.contract.test_claim_store import Mortal, base
from tests.topology.samples import STAMP, cell
from topology.apply import read_view
from topology.codec import encode
from topology.errors import OutcomeUnknown, StoreRefused
from topology.keys import Keyspace
from topology.model import Cell, CellState
from topology.placement import NoRoom, PlacementWish
from topology.placements import Placed, Placements, Refused, Released
from topology.store import Committed, Conflict, Store, Txn
from topology.view import View

__all__ = ["base"]
_numbers = itertools.count(1)


@dataclass
class Stage:
    """An installation with cells."""

    base: Store
    keyspace: Keyspace

    def client(self, store: Store | None = None) -> Placements:
        return Placements(store or self.base, self.keyspace)

    async def put(self, *cells: Cell) -> View:
        await self.base.commit(Txn(puts=tuple((self.keyspace.cell(each.id), encode(each)) for each in cells)))
        return await read_view(self.base, self.keyspace)


@pytest.fixture
async def stage(base: Store) -> AsyncIterator[Stage]:
    yield Stage(base, Keyspace(f"/placements-{next(_numbers)}"))
    await base.close()


def wish(key: str = "signup-1", region: str = "") -> PlacementWish:
    return PlacementWish(key=key, region=region)


async def placed(places: Placements, view: View, wanted: PlacementWish) -> Placed:
    outcome = await places.place(view, wanted, STAMP)
    assert isinstance(outcome, Placed), outcome
    return outcome


async def test_a_newcomer_is_placed_once(stage: Stage) -> None:
    view, places = await stage.put(cell(1), cell(2)), stage.client()
    first = await placed(places, view, wish())
    assert not first.repeated
    assert await places.occupancy() == {first.placement.cell_id: 1}
    again = await placed(stage.client(), view, wish())
    assert (again.repeated, again.placement, again.revision) == (True, first.placement, first.revision)
    assert await places.occupancy() == {first.placement.cell_id: 1}
    assert await places.find("signup-1") == first.placement
    other = await places.place(view, wish(region="eu"), STAMP)
    assert isinstance(other, Refused)
    assert other.problems[0].field == "request_key"


async def test_what_is_kept_is_readable(stage: Stage) -> None:
    view, places = await stage.put(cell(1, capacity=10)), stage.client()
    await placed(places, view, replace(wish("a/b c"), owner="ORGANIZATION/42"))
    count, owned, request = (await stage.base.list(f"{stage.keyspace.prefix}-placements/")).records
    assert owned.key.endswith("-placements/owners/ORGANIZATION/42")
    assert json.loads(owned.value)["requests"] == ["a/b c"]
    assert count.key.endswith("-placements/counts/1")
    assert json.loads(count.value)["placed"] == 1
    assert request.key.endswith("-placements/requests/a%2Fb%20c")
    body = json.loads(request.value)
    assert (body["key"], body["owner"], body["cell_id"]) == ("a/b c", "ORGANIZATION/42", 1)
    assert (body["updated_by"], body["reason"]) == ("ada", "first light")
    assert body["why"] == "cell 1 is ACTIVE, the only one that can take it; 1 of 10 places are taken then"


async def test_a_dry_run_reserves_nothing(stage: Stage) -> None:
    view, places = await stage.put(cell(1)), stage.client()
    outcome = await places.place(view, wish(), STAMP, dry_run=True)
    assert isinstance(outcome, Placed)
    assert (outcome.placement.cell_id, outcome.revision) == (1, 0)
    assert await places.occupancy() == {}
    assert await places.find("signup-1") is None


async def test_no_more_than_there_is_room_for_however_many_come_at_once(stage: Stage) -> None:
    view = await stage.put(cell(1, capacity=5), cell(2, capacity=7))
    outcomes = await asyncio.gather(
        *(stage.client().place(view, wish(f"signup-{number}"), STAMP) for number in range(20))
    )
    full = [outcome for outcome in outcomes if isinstance(outcome, NoRoom)]
    assert len(full) == 8
    assert set(full) == {NoRoom(((1, "is full (5 of 5)"), (2, "is full (7 of 7)")))}
    assert await stage.client().occupancy() == {1: 5, 2: 7}


async def test_the_same_request_many_times_at_once_is_one(stage: Stage) -> None:
    view = await stage.put(cell(1), cell(2))
    outcomes = await asyncio.gather(*(placed(stage.client(), view, wish()) for _ in range(8)))
    assert len({outcome.placement for outcome in outcomes}) == 1
    assert sum(not outcome.repeated for outcome in outcomes) == 1
    assert sum((await stage.client().occupancy()).values()) == 1


async def test_a_place_that_is_released_is_free(stage: Stage) -> None:
    view, places = await stage.put(cell(1, capacity=1)), stage.client()
    first = await placed(places, view, wish())
    assert isinstance(await places.place(view, wish("signup-2"), STAMP), NoRoom)
    released = await places.release("signup-1", STAMP)
    assert (released.placement, released.revision > first.revision) == (first.placement, True)
    assert await places.release("signup-1", STAMP) == Released(None)
    assert await places.find("signup-1") is None
    await placed(places, view, wish("signup-2"))
    assert await places.occupancy() == {1: 1}


async def test_places_go_along_with_their_owner_and_counts_with_them(stage: Stage) -> None:
    view, places, owner = await stage.put(cell(1), cell(2, capacity=1, weight=0)), stage.client(), "USER/7"
    for key in ("signup-1", "signup-2"):
        await placed(places, view, replace(wish(key), owner=owner))
    await placed(places, view, replace(wish("signup-3"), owner="USER/8"))
    assert await places.occupancy() == {1: 3}
    # However many follow at the same time; and beyond the capacity, for the owner is there already.
    followed = await asyncio.gather(*(stage.client().follow(owner, 2, STAMP) for _ in range(3)))
    assert sorted((each.key, each.from_cell) for those in followed for each in those) == [
        ("signup-1", 1),
        ("signup-2", 1),
    ]
    assert await places.occupancy() == {1: 1, 2: 2}
    found = await places.find("signup-1")
    assert (found and (found.cell_id, found.why)) == (2, "its owner went there from cell 1")
    again = await placed(places, view, replace(wish("signup-1"), owner=owner))
    assert (again.repeated, again.placement.cell_id) == (True, 2)
    assert await places.follow(owner, 2, STAMP) == ()
    assert await places.follow("USER/9", 2, STAMP) == ()
    # What is released frees the place where the owner is, and is followed no more.
    await places.release("signup-1", STAMP)
    assert await places.occupancy() == {1: 1, 2: 1}
    assert [each.key for each in await places.follow(owner, 1, STAMP)] == ["signup-2"]
    await places.release("signup-2", STAMP)
    assert await places.follow(owner, 2, STAMP) == ()
    left = (await stage.base.list(f"{stage.keyspace.prefix}-placements/owners/")).records
    assert [each.key.rpartition("owners/")[2] for each in left] == ["USER/8"]


async def test_places_from_before_owners_were_noted_are_noted_and_go_along_then(stage: Stage) -> None:
    view, places = await stage.put(cell(1)), stage.client()
    names = ["a", "b", "c", "d"]
    for name, owner in zip(names, ("USER/1", "USER/1", "USER/2", ""), strict=True):
        await placed(places, view, replace(wish(name), owner=owner))
    root = f"{stage.keyspace.prefix}-placements/"
    before = (await stage.base.list(f"{root}owners/")).records
    one, _ = before
    half = json.loads(one.value) | {"requests": ["b"]}
    puts = ((one.key, json.dumps(half).encode()), (f"{root}requests/x", b"{}"))
    await stage.base.commit(Txn(puts=puts, deletes=(f"{root}owners/USER/2",)))
    counts = await asyncio.gather(*(stage.client().note_owners(STAMP) for _ in range(4)))
    assert sum(counts) == 2  # of all replicas that start at once
    assert await places.note_owners(STAMP) == 0
    listing = await stage.base.list(f"{root}owners/")
    kept = {each.key.rpartition("owners/")[2]: json.loads(each.value)["requests"] for each in listing.records}
    assert kept == {"USER/1": ["b", "a"], "USER/2": ["c"]}
    await places.follow("USER/1", 2, STAMP)
    assert await places.occupancy() == {1: 2, 2: 2}


async def test_a_place_that_is_released_meanwhile_is_not_noted(stage: Stage) -> None:
    view, places = await stage.put(cell(1)), stage.client()
    await placed(places, view, replace(wish("a"), owner="USER/1"))
    await stage.base.commit(Txn(deletes=(f"{stage.keyspace.prefix}-placements/owners/USER/1",)))

    class Late(Mortal):
        async def commit(self, txn: Txn) -> Committed | Conflict:
            if txn.puts:
                await places.release("a", STAMP)
            return await super().commit(txn)

    assert await stage.client(Late(stage.base)).note_owners(STAMP) == 0
    assert not (await stage.base.list(f"{stage.keyspace.prefix}-placements/owners/")).records


async def test_who_comes_to_a_full_cell_is_told_so_unless_the_place_is_there_already(stage: Stage) -> None:
    view, places = await stage.put(cell(1, capacity=2), cell(2)), stage.client()
    full, free = view.cells[1], view.cells[2]
    assert await places.room_problems(full, ["USER/1", "USER/2"], force=False) == ()
    await stage.put(cell(2, CellState.CORDONED))
    view = await read_view(stage.base, stage.keyspace)
    for name, owner in (("a", "USER/9"), ("b", "USER/1")):
        await placed(places, view, replace(wish(name), owner=owner))
    assert await places.room_problems(full, ["USER/1"], force=False) == ()
    assert await places.room_problems(free, ["USER/1", "USER/2"], force=False) == ()
    three = ["USER/1", "USER/2", "USER/3"]
    assert await places.room_problems(full, three, force=True) == ()
    (problem,) = await places.room_problems(full, three, force=False)
    assert str(problem) == (
        "to_cell: cell 1 is full: 2 of 2 places are taken, and 2 more would come: "
        "raise its capacity, name another cell, or force it"
    )


async def test_an_answer_that_got_lost_over_a_place_that_goes_along_is_found(stage: Stage) -> None:
    view, mortal = await stage.put(cell(1), cell(2, weight=0)), Mortal(stage.base)
    await placed(stage.client(), view, replace(wish(), owner="USER/7"))
    mortal.dies_after = 0
    assert await stage.client(mortal).follow("USER/7", 2, STAMP) == ()
    assert await stage.client().occupancy() == {1: 0, 2: 1}


async def test_a_cell_that_closed_its_doors_meanwhile_gets_nobody(stage: Stage) -> None:
    seen = await stage.put(cell(1), cell(2, weight=0))
    await stage.put(cell(1, CellState.CORDONED), cell(2, weight=100))
    outcome = await placed(stage.client(), seen, wish())
    assert outcome.placement.cell_id == 2
    assert await stage.client().occupancy() == {2: 1}


async def test_an_answer_that_got_lost_is_found(stage: Stage) -> None:
    view, mortal = await stage.put(cell(1)), Mortal(stage.base)
    mortal.dies_after = 0
    places = stage.client(mortal)
    outcome = await placed(places, view, wish())
    assert outcome.repeated
    assert await stage.client().occupancy() == {1: 1}
    mortal.writes, mortal.dies_after = 0, 0
    assert await places.release("signup-1", STAMP) == Released(None)
    assert await stage.client().occupancy() == {1: 0}
    with pytest.raises(OutcomeUnknown):  # the double does what it is for
        await mortal.commit(Txn(puts=(("/x", b""),)))


async def test_a_record_that_cannot_be_read_is_named(stage: Stage) -> None:
    view = await stage.put(cell(1))
    key = f"{stage.keyspace.prefix}-placements/requests/signup-1"
    await stage.base.commit(Txn(puts=((key, b"{}"),)))
    with pytest.raises(StoreRefused, match="requests/signup-1 can't be read: schema: is missing"):
        await stage.client().place(view, wish(), STAMP)


async def test_a_bad_wish_is_refused(stage: Stage) -> None:
    outcome = await stage.client().place(await stage.put(cell(1)), wish(""), STAMP)
    assert isinstance(outcome, Refused)
    assert [problem.field for problem in outcome.problems] == ["request_key"]
