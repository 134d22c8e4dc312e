"""The contract of a claim store: one suite, over memory, a real etcd and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from tests.etcd_server import EtcdServer
from tests.postgresql_server import NEEDS_POSTGRESQL, PostgresServer
from tests.topology.claims.samples import TestClock, batch, metadata, route
from topology.apply import read_view
from topology.claims.generations import slot, slots
from topology.claims.index import ClaimIndex
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import ClaimBatch, Phase, Record, Status
from topology.claims.rules import Leased, NotThere, NotYours, Taken
from topology.claims.store import (
    Begins,
    Begun,
    CellChanged,
    ClaimStore,
    Closed,
    Gone,
    Invalid,
    Obstructed,
    WrongCell,
)
from topology.claims.stored import StoredClaims
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import OutcomeUnknown, StoreUnavailable
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.store import Committed, Compare, Conflict, Store, Txn
from topology.view import View

_numbers = itertools.count(1)
LARGE = [f"name-{number}" for number in range(300)]


class Mortal:
    """A store whose client dies at a commit: before it happens, or after, with the answer lost."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.list = store.list
        self.watch = store.watch
        self.writes = 0
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.falls_asleep_before: int | None = None
        self.asleep = asyncio.Event()
        self.awake = asyncio.Event()

    async def commit(self, txn: Txn) -> Committed | Conflict:
        if not (txn.puts or txn.deletes):
            return await self._store.commit(txn)
        if self.writes == self.dies_before:
            raise StoreUnavailable("this client is dead")
        if self.writes == self.falls_asleep_before:
            self.asleep.set()
            await self.awake.wait()
        outcome = await self._store.commit(txn)
        self.writes += 1
        if self.dies_after is not None and self.writes > self.dies_after:
            raise OutcomeUnknown("this client is dead")
        return outcome

    async def close(self) -> None:
        await self._store.close()


@dataclass
class Subject:
    """A claim store under test, the clock that it reads, and further clients of the same claims."""

    store: ClaimStore
    clock: TestClock
    another: Callable[[], ClaimStore]


@dataclass
class Parted(Subject):
    """One beside a topology, which writes large batches in parts, and clients that die between two."""

    mortal: Callable[[], tuple[ClaimStore, Mortal]]
    view: Callable[[], Awaitable[View]]


@asynccontextmanager
async def on_a_store(base: Store) -> AsyncIterator[Parted]:
    keyspace = ClaimKeyspace.beside(Keyspace(f"/claims-contract-{next(_numbers)}"))
    clock = TestClock()

    def another() -> ClaimStore:
        return StoredClaims(base, keyspace, clock=clock)

    def mortal() -> tuple[ClaimStore, Mortal]:
        store = Mortal(base)
        return StoredClaims(store, keyspace, clock=clock), store

    async def view() -> View:
        return await read_view(base, keyspace.topology)

    yield Parted(another(), clock, another, mortal, view)
    await base.close()


@asynccontextmanager
async def on_postgresql(server: PostgresServer) -> AsyncIterator[Subject]:
    address = Address(await server.schema())
    await migrate(Database(address))
    clock = TestClock()
    databases: list[Database] = []

    def another() -> ClaimStore:
        databases.append(Database(address))
        return PostgresClaims(databases[-1], clock=clock)

    yield Subject(another(), clock, another)
    for database in databases:
        await database.close()


@pytest.fixture(params=["memory", "etcd", pytest.param("postgresql", marks=NEEDS_POSTGRESQL)])
def home(request: pytest.FixtureRequest) -> Store | PostgresServer:
    """Give what the claims lie in. The servers are started before an event loop runs."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        return server
    return _store(request, request.param)


def _store(request: pytest.FixtureRequest, name: str) -> Store:
    if name == "memory":
        return MemoryStore()
    server: EtcdServer = request.getfixturevalue("etcd")
    return EtcdStore([server.endpoint])


@pytest.fixture
async def subject(home: Store | PostgresServer) -> AsyncIterator[Subject]:
    context = on_postgresql(home) if isinstance(home, PostgresServer) else on_a_store(home)
    async with context as subject:
        yield subject


@pytest.fixture(params=["memory", "etcd"])
def base(request: pytest.FixtureRequest) -> Store:
    return _store(request, request.param)


@pytest.fixture
async def parted(base: Store) -> AsyncIterator[Parted]:
    async with on_a_store(base) as parted:
        yield parted


async def begun(store: ClaimStore, wanted: ClaimBatch) -> str:
    outcome = await store.begin(wanted, "CELL")
    assert isinstance(outcome, Begun), outcome
    return outcome.lease.uuid


async def owned(store: ClaimStore, *values: str, cell_id: int = 1) -> None:
    lease = await begun(store, batch(cell_id, values))
    assert await store.commit(cell_id, lease, "CELL") == Closed(found=True)


async def status(store: ClaimStore, value: str) -> tuple[int, Status] | None:
    found = await store.get(route(value))
    assert found is None or isinstance(found, Record)
    return (found.cell_id, found.status) if found else None


async def everything(store: ClaimStore) -> ClaimIndex:
    index = ClaimIndex()
    index.load(await store.list())
    return index


# Begin, commit, rollback


async def test_admitted_a_begin_counts_only_while_its_cell_is_as_it_was_seen(subject: Subject) -> None:
    unseen = Compare("/claims-contract/cells/1", 5)
    for names in (["acme"], LARGE):
        assert await subject.store.begin(batch(1, names), "CELL-1", unseen) == CellChanged(1)
    assert len(await everything(subject.store)) == 0


async def test_quiet_what_was_begun_before_is_told_of(subject: Subject) -> None:
    async def told(begins: Callable[[], Awaitable[Begins]]) -> int:
        return (await begins()).cursor

    outcome = await subject.store.begin(batch(1, ["acme"]), "CELL-1")
    assert isinstance(outcome, Begun)
    assert await subject.another().quiet([1, 2], told) >= outcome.cursor


async def test_a_created_claim_is_there_from_the_beginning_and_stays(subject: Subject) -> None:
    store = subject.store
    lease = await begun(store, batch(2, ["acme"]))
    found = await store.get(route("acme"))
    assert isinstance(found, Record)
    assert (found.cell_id, found.status, found.lease) == (2, Status.LEASE_CREATING, lease)
    assert found.metadata == metadata("acme")
    subject.clock.advance(seconds=5)
    assert await store.commit(2, lease, "CELL-2") == Closed(found=True)
    kept = await store.get(route("acme"))
    assert isinstance(kept, Record)
    assert kept == found._replace(
        status=Status.ACTIVE, lease="", updated_at=subject.clock.now, updated_by="CELL-2"
    )
    assert kept.created_at == subject.clock.now - timedelta(seconds=5)


async def test_a_created_claim_is_gone_after_a_rollback(subject: Subject) -> None:
    store = subject.store
    lease = await begun(store, batch(2, ["acme"]))
    assert await store.rollback(2, lease, "CELL") == Closed(found=True)
    assert await store.get(route("acme")) is None
    await owned(store, "acme", cell_id=3)


async def test_a_destroyed_claim_counts_until_the_commit(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    lease = await begun(store, batch(1, destroys=["acme"]))
    assert await status(store, "acme") == (1, Status.LEASE_DESTROYING)
    assert await store.commit(1, lease, "CELL") == Closed(found=True)
    assert await store.get(route("acme")) is None


async def test_a_destroyed_claim_is_back_after_a_rollback(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    before = await store.get(route("acme"))
    lease = await begun(store, batch(1, destroys=["acme"]))
    await store.rollback(1, lease, "CELL")
    assert await store.get(route("acme")) == before


async def test_one_batch_creates_and_destroys(subject: Subject) -> None:
    store = subject.store
    await owned(store, "old")
    lease = await begun(store, batch(1, ["new"], ["old"]))
    await store.commit(1, lease, "CELL")
    assert await status(store, "new") == (1, Status.ACTIVE)
    assert await status(store, "old") is None


async def test_a_batch_that_cannot_be_right_is_invalid(subject: Subject) -> None:
    outcome = await subject.store.begin(batch(1, ["acme"], ["acme"]), "CELL")
    assert isinstance(outcome, Invalid)
    assert await subject.store.get(route("acme")) is None


# Unique


async def test_unique_a_claim_is_taken_for_others_and_for_its_owner(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    for cell_id in (1, 2):
        outcome = await store.begin(batch(cell_id, ["acme"]), "CELL")
        assert outcome == Obstructed((Taken(route("acme"), 1),))


async def test_unique_values_are_compared_as_they_are(subject: Subject) -> None:
    await owned(subject.store, "acme", "Acme", "acme/", "äcme", "a b%2F", "✓" * 1024)
    assert len(await everything(subject.store)) == 6
    assert await status(subject.store, "✓" * 1024) == (1, Status.ACTIVE)


async def test_unique_of_many_begins_at_once_one_wins(subject: Subject) -> None:
    stores = [subject.another() for _ in range(8)]
    outcomes = await asyncio.gather(
        *(store.begin(batch(cell, ["acme", f"own-{cell}"]), "CELL") for cell, store in enumerate(stores, 1))
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, Begun)]
    assert len(winners) == 1
    lease = winners[0].lease
    for outcome in outcomes:
        assert outcome is winners[0] or outcome == Obstructed((Leased(route("acme"), lease.uuid),))
    index = await everything(subject.store)
    assert len(index) == 2  # what the losers wanted besides is not there
    assert await status(subject.store, "acme") == (lease.cell_id, Status.LEASE_CREATING)


# Untouchable


@pytest.mark.parametrize("cell_id", [1, 2])
async def test_untouchable_what_is_being_created(subject: Subject, cell_id: int) -> None:
    store = subject.store
    lease = await begun(store, batch(1, ["acme"]))
    assert await store.begin(batch(cell_id, ["acme"]), "CELL") == Obstructed((Leased(route("acme"), lease),))
    assert isinstance(await store.begin(batch(cell_id, destroys=["acme"]), "CELL"), Obstructed)
    await store.commit(1, lease, "CELL")
    assert await status(store, "acme") == (1, Status.ACTIVE)


async def test_untouchable_what_is_being_destroyed(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    lease = await begun(store, batch(1, destroys=["acme"]))
    blocked = Obstructed((Leased(route("acme"), lease),))
    assert await store.begin(batch(1, destroys=["acme"]), "CELL") == blocked
    assert await store.begin(batch(2, ["acme"]), "CELL") == blocked
    await store.commit(1, lease, "CELL")
    await owned(store, "acme", cell_id=2)


async def test_untouchable_for_ever_no_lease_expires(subject: Subject) -> None:
    store = subject.store
    lease = await begun(store, batch(1, ["acme"]))
    subject.clock.advance(days=1000)
    await store.settle(lease)
    assert await store.begin(batch(2, ["acme"]), "CELL") == Obstructed((Leased(route("acme"), lease),))
    assert await store.commit(1, lease, "CELL") == Closed(found=True)


# Owned


async def test_owned_only_the_owner_destroys(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    assert await store.begin(batch(2, destroys=["acme"]), "CELL") == Obstructed((NotYours(route("acme"), 1),))
    assert await status(store, "acme") == (1, Status.ACTIVE)


async def test_owned_by_nobody_cannot_be_destroyed(subject: Subject) -> None:
    outcome = await subject.store.begin(batch(1, destroys=["acme"]), "CELL")
    assert outcome == Obstructed((NotThere(route("acme")),))


async def test_owned_a_lease_is_closed_by_its_cell_alone(subject: Subject) -> None:
    store = subject.store
    lease = await begun(store, batch(1, ["acme"]))
    assert await store.commit(2, lease, "CELL") == WrongCell(lease, 1)
    assert await subject.another().rollback(2, lease, "CELL") == WrongCell(lease, 1)
    assert await status(store, "acme") == (1, Status.LEASE_CREATING)


# Repeatable


@pytest.mark.parametrize("values", [["acme"], LARGE], ids=["small", "large"])
async def test_repeatable_closing_twice_changes_nothing(subject: Subject, values: list[str]) -> None:
    store, other = subject.store, subject.another()
    lease = await begun(store, batch(1, values))
    assert await other.commit(1, lease, "CELL") == Closed(found=True)
    for again in (store, other):
        assert await again.commit(1, lease, "CELL") == Closed(found=False)
        assert await again.rollback(1, lease, "CELL") == Closed(found=False)
    assert await status(store, values[-1]) == (1, Status.ACTIVE)
    assert not (await everything(store)).leases


async def test_repeatable_beginning_twice_changes_nothing(subject: Subject) -> None:
    store = subject.store
    lease = await begun(store, batch(1, ["acme"]))
    before = (await store.list()).entries
    assert await store.begin(batch(1, ["acme"]), "CELL") == Obstructed((Leased(route("acme"), lease),))
    assert (await store.list()).entries == before


# Generations


async def test_generations_rise_with_what_is_dropped_and_with_nothing_else(parted: Parted) -> None:
    store = parted.store
    await owned(store, "acme", "other")
    assert (await parted.view()).generations == {}
    kept = await begun(store, batch(1, destroys=["acme"]))
    await store.rollback(1, kept, "CELL")
    assert (await parted.view()).generations == {}
    gone = await begun(store, batch(1, ["new"], ["acme"]))
    assert (await parted.view()).generations == {}
    await store.commit(1, gone, "CELL")
    first = (await parted.view()).generations
    assert list(first) == [slot(route("acme"))]
    never = await begun(store, batch(1, ["acme"]))
    await parted.another().rollback(1, never, "CELL")
    second = (await parted.view()).generations
    assert list(second) == list(first)
    assert second[slot(route("acme"))] > first[slot(route("acme"))]


async def test_generations_rise_at_the_revision_that_drops(parted: Parted) -> None:
    store = parted.store
    await owned(store, "acme")
    start = (await store.list()).cursor
    lease = await begun(store, batch(1, destroys=["acme"]))
    await store.commit(1, lease, "CELL")
    async with asyncio.timeout(5), aclosing(store.watch(start)) as steps:
        async for changes in steps:
            if Gone(route("acme")) in changes.entries:
                assert (await parted.view()).generations == {slot(route("acme")): changes.cursor}
                return


@pytest.mark.parametrize("size", [126, 127, 300])
@pytest.mark.parametrize("commit", [True, False])
async def test_generations_of_more_than_one_transaction_drops(
    parted: Parted, size: int, commit: bool
) -> None:
    """As many records as one transaction writes, whose generations it can't write too; and more."""
    store, values = parted.store, LARGE[:size]
    if commit:
        await owned(store, *values)
    wanted = batch(1, destroys=values) if commit else batch(1, values)
    lease = await begun(store, wanted)
    close = store.commit if commit else store.rollback
    assert await close(1, lease, "CELL") == Closed(found=True)
    index = await everything(store)
    assert (len(index), len(index.leases), len(index.odd)) == (0, 0, 0)
    assert tuple((await parted.view()).generations) == slots(route(value) for value in values)
    await owned(store, *values, cell_id=2)


# Atomic


async def test_atomic_one_that_is_taken_stops_all(subject: Subject) -> None:
    store = subject.store
    await owned(store, "acme")
    outcome = await store.begin(batch(2, ["one", "acme", "two"], ["none"]), "CELL")
    assert outcome == Obstructed((Taken(route("acme"), 1), NotThere(route("none"))))
    assert len(await everything(store)) == 1


async def test_atomic_above_what_one_transaction_holds(subject: Subject) -> None:
    store = subject.store
    await owned(store, *LARGE[:150])
    names = [f"new-{number}" for number in range(850)]
    lease = await begun(store, batch(1, names, LARGE[:150]))
    index = await everything(store)
    assert index.leases[lease].phase is Phase.OPEN
    assert await status(store, names[-1]) == (1, Status.LEASE_CREATING)
    assert await status(store, LARGE[0]) == (1, Status.LEASE_DESTROYING)
    assert await subject.another().commit(1, lease, "CELL") == Closed(found=True)
    index = await everything(store)
    assert len(index) == 850
    assert not index.leases
    assert not index.odd
    assert await status(store, LARGE[0]) is None
    assert await status(store, names[-1]) == (1, Status.ACTIVE)


async def test_atomic_a_large_batch_rolls_back_whole(subject: Subject) -> None:
    store = subject.store
    await owned(store, *LARGE[:10])
    before = await everything(store)
    lease = await begun(store, batch(1, LARGE[10:], LARGE[:10]))
    await store.rollback(1, lease, "CELL")
    after = await everything(store)
    assert len(after) == 10
    for value in LARGE:
        assert after.find(route(value)) == before.find(route(value))


async def test_atomic_one_that_is_taken_stops_a_large_batch(subject: Subject) -> None:
    store = subject.store
    await owned(store, LARGE[200], cell_id=2)
    outcome = await store.begin(batch(1, LARGE), "CELL")
    assert outcome == Obstructed((Taken(route(LARGE[200]), 2),))
    index = await everything(store)
    assert len(index) == 1
    assert not index.leases


async def test_atomic_large_batches_that_overlap_at_once(subject: Subject) -> None:
    """Of two that want a record in common at most one has it, and a loser leaves nothing behind."""
    first, second = subject.store, subject.another()
    outcomes = await asyncio.gather(
        first.begin(batch(1, LARGE[:200]), "CELL"), second.begin(batch(2, LARGE[199:]), "CELL")
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, Begun)]
    assert len(winners) <= 1
    for outcome in outcomes:
        if outcome not in winners:
            assert isinstance(outcome, Obstructed)
            assert isinstance(outcome.obstacles[0], Leased)
    index = await everything(first)
    held = {value for value in LARGE if index.find(route(value))}
    wanted = {1: set(LARGE[:200]), 2: set(LARGE[199:])}
    assert held == (wanted[winners[0].lease.cell_id] if winners else set())


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_atomic_also_where_the_writer_dies(parted: Parted, dies: str) -> None:
    """It dies at each of its writes in turn: nobody sees a part, and what it leaves can be finished."""
    for write in range(5):  # the lease, three parts, the opening
        values = [f"{dies}-{write}-{number}" for number in range(300)]
        dying, store = parted.mortal()
        if dies == "before":
            store.dies_before = write
        else:
            store.dies_after = write
        with pytest.raises(StoreUnavailable):
            await dying.begin(batch(1, values), "CELL")
        index = await everything(parted.store)
        (left,) = index.leases.values() or (None,)
        counted = [value for value in values if index.find(route(value))]
        if left is not None and left.phase is Phase.OPEN:  # it was opened, and the answer got lost
            assert (dies, write) == ("after", 4)
            assert len(counted) == 300
            await parted.store.rollback(1, left.uuid, "CELL")
        elif left is not None:
            assert counted == []
            assert await parted.store.get(route(values[0])) is None
            assert isinstance(await parted.store.begin(batch(2, values[:1]), "CELL"), Obstructed | Begun)
            await parted.store.settle(left.uuid)
            assert left.uuid in (await everything(parted.store)).leases, "somebody may still be at it"
            parted.clock.advance(minutes=1)
            await parted.store.settle(left.uuid)
        index = await everything(parted.store)
        assert left is None or left.uuid not in index.leases
        assert [value for value in values[1:] if index.find(route(value))] == []
        for lease in index.leases.values():
            await parted.store.rollback(lease.cell_id, lease.uuid, "CELL")


@pytest.mark.parametrize("commit", [True, False], ids=["commit", "rollback"])
async def test_atomic_a_decision_stands_where_its_writer_dies(parted: Parted, commit: bool) -> None:
    for write in range(4):  # the decision, three parts; then the end
        values = [f"{write}-{number}" for number in range(300)]
        lease = await begun(parted.store, batch(1, values))
        dying, store = parted.mortal()
        store.dies_after = write
        with pytest.raises(StoreUnavailable):
            await (dying.commit if commit else dying.rollback)(1, lease, "CELL")
        index = await everything(parted.store)
        counted = [index.find(route(value)) for value in values]
        assert {each.status if each else None for each in counted} == {Status.ACTIVE if commit else None}
        # Whoever closes it next finishes it, the same way whatever they ask for.
        assert await parted.another().rollback(1, lease, "CELL") == Closed(found=False)
        index = await everything(parted.store)
        assert lease not in index.leases
        found = [index.find(route(value)) for value in values]
        assert {each.status if each else None for each in found} == {Status.ACTIVE if commit else None}


@pytest.mark.parametrize("write", range(1, 5))
async def test_atomic_a_slow_writer_adds_nothing_to_what_was_given_up(parted: Parted, write: int) -> None:
    """It sleeps before a part, or the opening; meanwhile its lease is given up, and what it held is taken."""
    slow, store = parted.mortal()
    store.falls_asleep_before = write

    async def meanwhile() -> None:
        await store.asleep.wait()
        parted.clock.advance(minutes=1)
        await owned(parted.store, LARGE[0], cell_id=2)
        store.falls_asleep_before = None
        store.awake.set()

    outcome, _ = await asyncio.gather(
        slow.begin(batch(1, LARGE), "CELL"), meanwhile(), return_exceptions=True
    )
    assert isinstance(outcome, Obstructed | StoreUnavailable)
    index = await everything(parted.store)
    assert len(index) == 1
    assert await status(parted.store, LARGE[0]) == (2, Status.ACTIVE)


async def test_atomic_a_late_writer_finds_its_lease_given_up(parted: Parted) -> None:
    slow, store = parted.mortal()
    store.dies_after = 1
    with pytest.raises(StoreUnavailable):
        await slow.begin(batch(1, LARGE), "CELL")
    (left,) = (await everything(parted.store)).leases
    parted.clock.advance(minutes=1)
    # A begin that stumbles over it gives it up, and has the record.
    await begun(parted.store, batch(2, [LARGE[0]]))
    index = await everything(parted.store)
    assert left not in index.leases
    assert len(index) == 1


# Looking


async def test_a_decided_lease_in_the_way_is_finished_first(parted: Parted) -> None:
    lease = await begun(parted.store, batch(1, LARGE))
    dying, store = parted.mortal()
    store.dies_after = 0
    with pytest.raises(StoreUnavailable):
        await dying.rollback(1, lease, "CELL")
    await owned(parted.another(), LARGE[7], cell_id=2)
    assert await status(parted.store, LARGE[7]) == (2, Status.ACTIVE)


async def test_a_watch_after_a_listing_leads_to_the_same_index(subject: Subject) -> None:
    store = subject.store
    await owned(store, "kept", "dropped")
    index = await everything(store)
    lease = await begun(store, batch(1, ["new"], ["dropped"]))
    await store.commit(1, lease, "CELL")
    large = await begun(store, batch(1, LARGE))
    await store.commit(1, large, "CELL")
    open_ = await begun(store, batch(1, ["open"]))
    wanted = await everything(store)
    async with asyncio.timeout(10), aclosing(store.watch(index.cursor)) as steps:
        async for changes in steps:
            assert changes.cursor >= index.cursor
            index.apply(changes)
            if index.cursor >= wanted.cursor:
                break
    assert set(index.leases) == {open_}
    for value in ("kept", "dropped", "new", "open", *LARGE):
        assert index.find(route(value)) == wanted.find(route(value)), value
    assert index.find(route("open")) is not None
    assert len(index) == len(wanted) == 303


async def test_a_reader_never_sees_a_part_of_a_large_batch(subject: Subject) -> None:
    """An index that follows sees all of the records appear at one cursor, and all become active at one."""
    store = subject.store
    index = await everything(store)
    seen: list[set[Status | None]] = []
    lease = ""

    async def write() -> None:
        nonlocal lease
        lease = await begun(subject.another(), batch(1, LARGE))
        await store.commit(1, lease, "CELL")

    async with (
        asyncio.timeout(20),
        asyncio.TaskGroup() as tasks,
        aclosing(store.watch(index.cursor)) as steps,
    ):
        writing = tasks.create_task(write())
        async for changes in steps:
            index.apply(changes)
            found = [index.find(route(value)) for value in LARGE]
            statuses = {each.status if each else None for each in found}
            if not seen or seen[-1] != statuses:
                seen.append(statuses)
            if writing.done() and not index.leases:
                break
            if statuses == {Status.ACTIVE} and not index.leases:
                break
    assert seen == [{None}, {Status.LEASE_CREATING}, {Status.ACTIVE}]
