"""Claims on a store: round trips, lost answers, bad records. The contract has the rest."""

from __future__ import annotations

import asyncio

import pytest

from tests.topology.claims.samples import TestClock, batch, counting_uuids, route
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Record
from topology.claims.rules import Leased, Unreadable
from topology.claims.store import Begun, Closed, Obstructed
from topology.claims.stored import StoredClaims
from topology.errors import Compacted, OutcomeUnknown, StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.store import Committed, Conflict, Txn

KEYS = ClaimKeyspace.beside(Keyspace("/c"))


class Counting(MemoryStore):
    """Counts round trips."""

    trips = 0

    async def commit(self, txn: Txn) -> Committed | Conflict:
        self.trips += 1
        return await super().commit(txn)


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
def claims(store: Counting) -> StoredClaims:
    return StoredClaims(store, KEYS, clock=TestClock(), new_uuid=counting_uuids())


async def begun(claims: StoredClaims, *creates: str, destroys: tuple[str, ...] = ()) -> str:
    outcome = await claims.begin(batch(1, creates, destroys), "CELL-1")
    assert isinstance(outcome, Begun)
    return outcome.lease.uuid


async def test_creating_takes_one_trip_to_begin_and_one_to_close(
    store: Counting, claims: StoredClaims
) -> None:
    lease = await begun(claims, *(f"n{number}" for number in range(125)))
    assert store.trips == 1
    await claims.commit(1, lease, "CELL-1")
    assert store.trips == 2


async def test_destroying_takes_one_more_to_look(store: Counting, claims: StoredClaims) -> None:
    await claims.commit(1, await begun(claims, "a"), "CELL-1")
    store.trips = 0
    lease = await begun(claims, "b", destroys=("a",))
    assert store.trips == 2
    await claims.commit(1, lease, "CELL-1")
    assert store.trips == 3


async def test_closing_anothers_lease_takes_two_looks(store: Counting, claims: StoredClaims) -> None:
    lease = await begun(claims, "a")
    store.trips = 0
    await StoredClaims(store, KEYS).commit(1, lease, "CELL-1")
    assert store.trips == 3


async def test_only_so_much_is_remembered(
    store: Counting, claims: StoredClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topology.claims.stored.REMEMBERED", 3)
    leases = [await begun(claims, *(f"{name}{number}" for number in range(2))) for name in "abc"]
    for lease, trips in ((leases[2], 1), (leases[0], 3), (leases[1], 3)):
        store.trips = 0
        await claims.commit(1, lease, "CELL-1")
        assert store.trips == trips
    assert await begun(claims, "d")
    assert claims._remembered == 1


async def test_a_begin_whose_answer_is_lost_has_begun_once(store: Counting, claims: StoredClaims) -> None:
    store.inject(Faults(lose_answers=1))
    lease = await begun(claims, "a")
    assert await claims.commit(1, lease, "CELL-1") == Closed(found=True)
    assert len((await store.list(KEYS.root)).records) == 1


async def test_a_commit_whose_answer_is_lost_has_happened(store: Counting, claims: StoredClaims) -> None:
    lease = await begun(claims, "a")
    store.inject(Faults(lose_answers=1))
    assert await claims.commit(1, lease, "CELL-1") == Closed(found=True)
    found = await claims.get(route("a"))
    assert isinstance(found, Record)
    assert found.lease == ""


async def test_a_commit_that_never_gets_an_answer_says_so(store: Counting, claims: StoredClaims) -> None:
    lease = await begun(claims, "a")
    store.inject(Faults(errors={"commit": [OutcomeUnknown("lost")] * 10}))
    with pytest.raises(StoreUnavailable):
        await claims.commit(1, lease, "CELL-1")


async def test_a_record_that_cannot_be_read_is_in_the_way(store: Counting, claims: StoredClaims) -> None:
    await store.commit(Txn(puts=((KEYS.record(route("a")), b"{}"),)))
    odd = Unreadable(route("a"), "schema: is missing: every field must be there")
    assert await claims.begin(batch(1, ["a"]), "CELL-1") == Obstructed((odd,))
    assert await claims.begin(batch(1, destroys=["a"]), "CELL-1") == Obstructed((odd,))
    assert await claims.get(route("a")) == odd


async def test_a_record_whose_lease_is_missing_stays_leased(store: Counting, claims: StoredClaims) -> None:
    """Somebody deleted the lease by hand: it stays in the way, and the answer comes at once."""
    lease = await begun(claims, "a")
    await store.commit(Txn(deletes=(KEYS.lease(lease),)))
    assert await claims.begin(batch(2, ["a"]), "CELL-2") == Obstructed((Leased(route("a"), lease),))
    found = await claims.get(route("a"))
    assert isinstance(found, Record)
    assert found.lease == lease


async def test_a_long_listing_lets_others_work(
    store: Counting, claims: StoredClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topology.claims.stored.READ_AT_ONCE", 10)
    await begun(claims, *(f"n{number}" for number in range(99)))
    worked = 0

    async def work() -> None:
        nonlocal worked
        while True:
            worked += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        assert len((await claims.list()).entries) == 100
        working.cancel()
    assert worked >= 10


async def test_a_listing_survives_compaction_between_its_pages(store: Counting, claims: StoredClaims) -> None:
    await begun(claims, "a")
    store.inject(Faults(errors={"list": [Compacted(5)]}))
    assert len((await claims.list()).entries) == 2
    store.inject(Faults(errors={"list": [Compacted(5)] * 5}))
    with pytest.raises(StoreUnavailable, match="compacted during 5 listings"):
        await claims.list()
