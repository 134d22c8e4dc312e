"""The contract of transfers: one suite, over memory, a real etcd and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

import pytest

from tests.contract.test_claim_store import LARGE, Mortal, base, home, on_a_store, on_postgresql
from tests.postgresql_server import PostgresServer
from tests.topology.claims.samples import OTHER, OWNER, TestClock, batch, route
from topology.apply import read_view
from topology.claims.follower import ClaimFollower
from topology.claims.generations import slots
from topology.claims.index import ClaimIndex, RecordQuery
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, Record, Subject
from topology.claims.owners import OwnerElsewhere, OwnerMoving
from topology.claims.rules import NotYours
from topology.claims.store import Begun, Closed, Invalid, Obstructed
from topology.claims.stored import StoredClaims
from topology.claims.transfer import Hindered, Previewed, Transferred, TransferWish
from topology.claims.transfer_obstacles import LeasesOpen, OwnerUnknown, Scattered, WrongEpoch
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.store import Store

__all__ = ["base", "home"]
_numbers = itertools.count(1)


@dataclass
class AnyStage:
    """Claims of one installation, wherever they are."""

    store: StoredClaims | PostgresClaims

    async def owned(self, *values: str, cell_id: int = 1, subject: Subject = OWNER) -> None:
        outcome = await self.store.begin(batch(cell_id, values, subject=subject), "CELL")
        assert isinstance(outcome, Begun), outcome
        assert await self.store.commit(cell_id, outcome.lease.uuid, "CELL") == Closed(found=True)

    async def index(self) -> ClaimIndex:
        index = ClaimIndex()
        index.load(await self.store.list())
        return index

    async def cell_of(self, value: str) -> int | None:
        """Ask both who can be asked, who must agree."""
        got, listed = await self.store.get(route(value)), (await self.index()).find(route(value))
        assert got == listed
        assert got is None or isinstance(got, Record)
        return got.cell_id if got else None

    async def epoch(self, subject: Subject = OWNER) -> tuple[int, int] | None:
        owner = await self.store.owner(subject)
        assert owner == (await self.index()).owners.get(subject)
        return (owner.cell_id, owner.epoch) if owner else None


@dataclass
class Stage(AnyStage):
    """Claims beside a topology, as several clients have them, some of which die."""

    store: StoredClaims
    base: Store
    keyspace: ClaimKeyspace
    clock: TestClock

    def client(self, store: Store) -> StoredClaims:
        return StoredClaims(store, self.keyspace, clock=self.clock)

    def mortal(self) -> tuple[StoredClaims, Mortal]:
        store = Mortal(self.base)
        return self.client(store), store


@pytest.fixture
async def any_stage(home: Store | PostgresServer) -> AsyncIterator[AnyStage]:
    context = on_postgresql(home) if isinstance(home, PostgresServer) else on_a_store(home)
    async with context as subject:
        assert isinstance(subject.store, StoredClaims | PostgresClaims)
        yield AnyStage(subject.store)


@pytest.fixture
async def stage(base: Store) -> AsyncIterator[Stage]:
    keyspace, clock = ClaimKeyspace.beside(Keyspace(f"/transfers-{next(_numbers)}")), TestClock()
    yield Stage(StoredClaims(base, keyspace, clock=clock), base, keyspace, clock)
    await base.close()


def wish(epoch: int = 1, *subjects: Subject, source: int = 1, to: int = 2, request: str = "") -> TransferWish:
    return TransferWish(
        id=request or str(uuid.uuid4()),
        owners=tuple((subject, epoch) for subject in subjects or (OWNER,)),
        from_cell=source,
        to_cell=to,
        reason="a test",
    )


async def moved(stage: AnyStage, wanted: TransferWish) -> Transferred:
    outcome = await stage.store.transfer(wanted, "ADMIN")
    assert isinstance(outcome, Transferred), outcome
    return outcome


# What a transfer does


async def test_it_moves_everything_of_an_owner_and_nothing_else(any_stage: AnyStage) -> None:
    await any_stage.owned("acme", "acme/web")
    await any_stage.owned("globex", subject=OTHER)
    outcome = await moved(any_stage, wish())
    assert (outcome.transfer.records, outcome.repeated) == (2, False)
    assert [await any_stage.cell_of(value) for value in ("acme", "acme/web", "globex")] == [2, 2, 1]
    assert (await any_stage.epoch(), await any_stage.epoch(OTHER)) == ((2, 2), None)
    index = await any_stage.index()
    assert (index.owned_by(1), index.owned_by(2)) == ((1, 0), (2, 0))
    assert len(index.records(RecordQuery(cell_id=2))[0]) == 2
    assert index.unfinished() == ()
    assert not index.odd


async def test_it_tells_the_fleet_in_the_same_revision(stage: Stage) -> None:
    await stage.owned("acme", "acme/web")
    outcome = await moved(stage, wish())
    view = await read_view(stage.base, stage.keyspace.topology)
    touched = slots([route("acme"), route("acme/web")])
    assert view.generations == dict.fromkeys(touched, outcome.cursor)
    departure = view.departed["NAMESPACE/42"]
    assert (departure.from_cell, departure.to_cell, departure.epoch) == (1, 2, 2)
    assert (departure.stamp.updated_by, departure.stamp.reason) == ("ADMIN", "a test")
    assert view.mod_revisions[stage.keyspace.topology.departure("NAMESPACE/42")] == outcome.cursor
    assert not view.quarantined


async def test_it_writes_more_generations_than_one_transaction_holds(stage: Stage) -> None:
    await stage.owned(*LARGE, *(f"group/{number * 7919}" for number in range(300)))
    outcome = await moved(stage, wish())
    assert outcome.transfer.records == 600
    assert len(outcome.transfer.slots) > 0
    view = await read_view(stage.base, stage.keyspace.topology)
    values = [*LARGE, *(f"group/{number * 7919}" for number in range(300))]
    assert tuple(view.generations) == slots(route(value) for value in values)
    assert min(view.generations.values()) == outcome.cursor


async def test_it_leaves_an_audit_record(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    await moved(any_stage, wish())
    record = await any_stage.store.get(route("acme"))
    owner = await any_stage.store.owner(OWNER)
    assert isinstance(record, Record)
    assert owner is not None
    assert record.updated_by == "ADMIN"
    assert (owner.stamp.updated_by, owner.stamp.reason, owner.transfer) == ("ADMIN", "a test", "")


async def test_owners_go_together(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    await any_stage.owned("globex", subject=OTHER)
    await moved(any_stage, wish(1, OWNER, OTHER))
    assert [await any_stage.cell_of(value) for value in ("acme", "globex")] == [2, 2]
    assert (await any_stage.epoch(), await any_stage.epoch(OTHER)) == ((2, 2), (2, 2))


async def test_it_comes_back_at_a_higher_epoch(stage: Stage) -> None:
    await stage.owned("acme")
    await moved(stage, wish())
    await moved(stage, wish(2, source=2, to=1))
    assert (await stage.cell_of("acme"), await stage.epoch()) == (1, (1, 3))
    view = await read_view(stage.base, stage.keyspace.topology)
    assert (view.departed["NAMESPACE/42"].to_cell, view.departed["NAMESPACE/42"].epoch) == (1, 3)


async def test_a_dry_run_does_nothing(stage: Stage) -> None:
    await stage.owned("acme", "acme/web")
    before = await stage.base.list("/")
    wanted = replace(wish(), dry_run=True)
    assert await stage.store.transfer(wanted, "ADMIN") == Previewed(2)
    refused = await stage.store.transfer(replace(wanted, owners=((OWNER, 3),)), "ADMIN")
    assert refused == Hindered((WrongEpoch(OWNER, 3, 1),))
    assert (await stage.base.list("/")).records == before.records


async def test_an_inventory_spares_reading_everything(stage: Stage) -> None:
    await stage.owned(*LARGE[:200])
    follower = ClaimFollower(stage.store)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(follower.run())
        await follower.reached(0)
        listed: list[str] = []

        class Listing(Mortal):
            def __init__(self, store: Store) -> None:
                super().__init__(store)

                async def listing(prefix: str, revision: int | None = None) -> object:
                    listed.append(prefix)
                    return await store.list(prefix, revision)

                self.list = listing  # type: ignore[assignment]

        outcome = await stage.client(Listing(stage.base)).transfer(wish(), "ADMIN", follower)
        assert isinstance(outcome, Transferred)
        assert outcome.transfer.records == 200
        await follower.reached(outcome.cursor)
        assert follower.index.owned_by(2) == (200, 0)
        assert not [prefix for prefix in listed if "/records/" in prefix]
        running.cancel()


async def test_a_hold_for_a_mistaken_wish_moves_nothing(stage: Stage) -> None:
    """A writer dies over a wish that is wrong about the cell: the claims stay where they are."""
    await stage.owned("acme")
    client, store = stage.mortal()
    store.dies_after = 0
    with pytest.raises(StoreUnavailable):
        await client.transfer(wish(source=2, to=3), "ADMIN")
    assert await stage.cell_of("acme") == 1
    outcome = await stage.store.begin(batch(1, ["more"]), "CELL")
    assert isinstance(outcome, Obstructed)
    assert [type(each) for each in outcome.obstacles] == [OwnerMoving]  # and not elsewhere: it may come again
    stage.clock.advance(minutes=1)
    await stage.owned("more")


# Compare and swap


async def test_cas_another_epoch_is_refused(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    assert await any_stage.store.transfer(wish(2), "ADMIN") == Hindered((WrongEpoch(OWNER, 2, 1),))
    await moved(any_stage, wish())
    await moved(any_stage, wish(2, source=2, to=1))
    assert await any_stage.store.transfer(wish(1), "ADMIN") == Hindered((WrongEpoch(OWNER, 1, 3),))


async def test_cas_another_cell_is_refused(any_stage: AnyStage) -> None:
    await any_stage.owned("acme", cell_id=3)
    assert await any_stage.store.transfer(wish(), "ADMIN") == Hindered((OwnerElsewhere(OWNER, 3, 1),))
    await moved(any_stage, wish(source=3, to=1))
    assert await any_stage.store.transfer(wish(source=3), "ADMIN") == Hindered((OwnerElsewhere(OWNER, 1, 2),))


async def test_cas_an_owner_of_nothing_and_one_of_several_cells(any_stage: AnyStage) -> None:
    assert await any_stage.store.transfer(wish(), "ADMIN") == Hindered((OwnerUnknown(OWNER),))
    await any_stage.owned("acme")
    await any_stage.owned("acme-eu", cell_id=3)
    assert await any_stage.store.transfer(wish(), "ADMIN") == Hindered((Scattered(OWNER, (1, 3)),))
    assert await any_stage.epoch() is None


async def test_cas_of_many_at_once_one_wins(stage: Stage) -> None:
    await stage.owned("acme")
    clients = [stage.client(stage.base) for _ in range(6)]
    outcomes = await asyncio.gather(
        *(client.transfer(wish(to=cell), "ADMIN") for cell, client in enumerate(clients, 2)),
        return_exceptions=True,
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, Transferred)]
    assert len(winners) == 1
    assert await stage.epoch() == (winners[0].transfer.to_cell, 2)
    assert await stage.cell_of("acme") == winners[0].transfer.to_cell
    for outcome in outcomes:
        assert isinstance(outcome, Transferred | Hindered | StoreUnavailable), outcome


async def test_a_wish_that_cannot_be_right_is_invalid(any_stage: AnyStage) -> None:
    outcome = await any_stage.store.transfer(wish(0, to=1, request="x"), "ADMIN")
    assert isinstance(outcome, Invalid)
    fields = [problem.field for problem in outcome.problems]
    assert fields == ["request_id", "owners[0].expected_epoch", "to_cell"]


# Repeatable


@pytest.mark.parametrize("size", [1, 300])
async def test_repeatable_the_same_request_moves_once(stage: Stage, size: int) -> None:
    await stage.owned(*LARGE[:size])
    wanted = wish()
    await moved(stage, wanted)
    again = await stage.client(stage.base).transfer(replace(wanted, reason="again"), "ADMIN")
    assert isinstance(again, Transferred)
    assert again.repeated
    assert await stage.epoch() == (2, 2)
    other = await stage.store.transfer(replace(wanted, to_cell=3), "ADMIN")
    assert isinstance(other, Invalid)
    assert other.problems[0].field == "request_id"


# Leases


@pytest.mark.parametrize("large", [False, True])
async def test_open_leases_are_named_and_nothing_is_left(stage: Stage, large: bool) -> None:
    values = LARGE if large else ["new"]
    await stage.owned("acme")
    begun = await stage.store.begin(batch(1, values), "CELL")
    assert isinstance(begun, Begun)
    outcome = await stage.store.transfer(wish(), "ADMIN")
    assert outcome == Hindered((LeasesOpen(OWNER, (begun.lease.uuid,)),))
    assert await stage.epoch() is None
    assert not (await stage.base.list(f"{stage.keyspace.root}transfers/")).records
    await stage.store.commit(1, begun.lease.uuid, "CELL")
    assert (await moved(stage, wish())).transfer.records == len(values) + 1


async def test_leases_of_others_do_not_matter(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    begun = await any_stage.store.begin(batch(1, ["globex"], subject=OTHER), "CELL")
    assert isinstance(begun, Begun)
    await moved(any_stage, wish())
    assert await any_stage.store.commit(1, begun.lease.uuid, "CELL") == Closed(found=True)
    assert await any_stage.cell_of("globex") == 1


# Fenced


async def test_fenced_the_cell_that_it_left_claims_nothing_more(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    await moved(any_stage, wish())
    away = Obstructed((OwnerElsewhere(OWNER, 2, 2),))
    assert await any_stage.store.begin(batch(1, ["new"]), "CELL") == away
    assert await any_stage.store.begin(batch(1, LARGE), "CELL") == away
    gone = await any_stage.store.begin(batch(1, destroys=["acme"]), "CELL")
    assert gone == Obstructed((NotYours(route("acme"), 2),))
    await any_stage.owned("new", cell_id=2)
    await any_stage.owned(*LARGE, cell_id=2)
    lease = await any_stage.store.begin(batch(2, destroys=["acme"]), "CELL")
    assert isinstance(lease, Begun)


@pytest.mark.parametrize("values", [["new"], LARGE], ids=["small", "large"])
async def test_fenced_a_begin_that_slept_through_the_transfer(stage: Stage, values: list[str]) -> None:
    await stage.owned("acme")
    client, store = stage.mortal()
    store.falls_asleep_before = 1 if len(values) > 1 else 0  # a large one sleeps with its lease written
    beginning = asyncio.ensure_future(client.begin(batch(1, values), "CELL"))
    await store.asleep.wait()
    await moved(stage, wish())
    store.awake.set()
    assert await beginning == Obstructed((OwnerElsewhere(OWNER, 2, 2),))
    assert await stage.cell_of(values[0]) is None
    assert not (await stage.index()).leases


async def test_fenced_nothing_begins_while_the_owner_is_held(stage: Stage) -> None:
    await stage.owned("acme")
    client, store = stage.mortal()
    store.falls_asleep_before = 2  # held and listed, not yet moved
    wanted = wish()
    moving = asyncio.ensure_future(client.transfer(wanted, "ADMIN"))
    await store.asleep.wait()
    held = Obstructed((OwnerMoving(OWNER, wanted.id),))
    assert await stage.store.begin(batch(1, ["new"]), "CELL") == held
    assert await stage.store.begin(batch(1, destroys=["acme"]), "CELL") == held
    other = await stage.store.transfer(wish(), "ADMIN")
    assert other == Hindered((OwnerMoving(OWNER, wanted.id),))
    assert await stage.cell_of("acme") == 1
    store.awake.set()
    assert isinstance(await moving, Transferred)


async def test_fenced_a_transfer_that_slept_too_long_moves_nothing(stage: Stage) -> None:
    await stage.owned("acme")
    client, store = stage.mortal()
    store.falls_asleep_before = 2
    wanted = wish()
    moving = asyncio.ensure_future(client.transfer(wanted, "ADMIN"))
    await store.asleep.wait()
    stage.clock.advance(seconds=31)
    await stage.owned("new")  # stumbles over it, and gives it up
    store.awake.set()
    with pytest.raises(StoreUnavailable, match="took too long"):
        await moving
    assert (await stage.cell_of("acme"), await stage.epoch()) == (1, None)
    assert (await moved(stage, replace(wanted))).transfer.records == 2


async def test_fenced_no_longer_than_needed_where_the_claims_cannot_be_listed(stage: Stage) -> None:
    await stage.owned("acme")

    class Away:
        async def claimed_for(self, subjects: object, cursor: int) -> tuple[Bucket, ...]:
            raise StoreUnavailable("the index is not there")

    with pytest.raises(StoreUnavailable, match="the index is not there"):
        await stage.store.transfer(wish(), "ADMIN", Away())
    assert await stage.epoch() is None
    await stage.owned("new")


# Atomic


async def test_atomic_one_owner_in_the_way_stops_all(any_stage: AnyStage) -> None:
    await any_stage.owned("acme")
    await any_stage.owned("globex", cell_id=3, subject=OTHER)
    outcome = await any_stage.store.transfer(wish(1, OWNER, OTHER), "ADMIN")
    assert outcome == Hindered((OwnerElsewhere(OTHER, 3, 1),))
    assert (await any_stage.cell_of("acme"), await any_stage.epoch()) == (1, None)


async def test_atomic_readers_see_all_of_it_or_nothing(any_stage: AnyStage) -> None:
    await any_stage.owned(*LARGE)
    index, seen = await any_stage.index(), list[tuple[set[int], tuple[int, int]]]()
    moving = asyncio.ensure_future(moved(any_stage, wish()))
    async with asyncio.timeout(10), aclosing(any_stage.store.watch(index.cursor)) as steps:
        async for changes in steps:
            index.apply(changes)
            cells = {record.cell_id for value in LARGE if (record := index.find(route(value)))}
            counts = (index.owned_by(1)[0], index.owned_by(2)[0])
            if not seen or seen[-1] != (cells, counts):
                seen.append((cells, counts))
            if cells == {2} and not index.unfinished():
                break
    assert seen == [({1}, (300, 0)), ({2}, (0, 300))]
    await moving


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_atomic_also_where_the_writer_dies(stage: Stage, dies: str) -> None:
    """It dies at each of its writes in turn; nobody sees a part, and what it leaves can be finished."""
    for write in range(12):
        subject = OWNER._replace(id=1000 + write)
        values = [f"{dies}-{write}-{number}" for number in range(200)]
        await stage.owned(*values, subject=subject)
        client, store = stage.mortal()
        if dies == "before":
            store.dies_before = write
        else:
            store.dies_after = write
        wanted = wish(1, subject)
        try:
            await client.transfer(wanted, "ADMIN")
        except StoreUnavailable:
            pass
        else:
            assert write >= 6  # to hold, to list, to move, two parts, the end
            return
        index = await stage.index()
        cells = {record.cell_id for value in values if (record := index.find(route(value)))}
        assert cells in ({1}, {2})
        assert {await stage.cell_of(values[-1])} == cells
        stage.clock.advance(seconds=31)
        for uuid_ in index.unfinished():
            await stage.store.settle(uuid_)
        after = await stage.index()
        assert after.unfinished() == ()
        left = {record.cell_id for value in values if (record := after.find(route(value)))}
        assert left == cells
        assert not (await stage.base.list(f"{stage.keyspace.root}parts/")).records
        again = await moved(stage, wanted)
        assert again.repeated == (cells == {2})
        assert await stage.epoch(subject) == (2, 2)
        view = await read_view(stage.base, stage.keyspace.topology)
        assert set(slots(route(value) for value in values)) <= view.generations.keys()
    raise AssertionError("it died at each of more writes than it makes")
