"""Large leases: settled by whoever comes by, and never by two in two ways. The contract has the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.topology.claims.samples import LEASE_1, NOON, TestClock, batch, lease, route
from topology.claims import plan
from topology.claims.closing import Closing
from topology.claims.codec import encode_lease
from topology.claims.keys import ClaimKeyspace
from topology.claims.large import GIVEN_UP_AFTER, LargeLeases
from topology.claims.ledger import Ledger
from topology.claims.model import Phase
from topology.claims.plan import Opening, SeenLease, Write
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.store import Committed, Conflict, Txn

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
WANTED = batch(1, [f"n{number}" for number in range(200)])
OPENING = Opening(uuid=LEASE_1, uuids=tuple(LEASE_1 for _ in WANTED.creates), now=NOON, by="CELL-1")


def writes() -> tuple[Write, ...]:
    return plan.writes(KEYS, WANTED, OPENING, {})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def large(store: MemoryStore, clock: TestClock) -> LargeLeases:
    return LargeLeases(Ledger(store, KEYS), clock)


async def keys(store: MemoryStore, below: str = "") -> int:
    return len((await store.list(KEYS.root + below)).records)


async def test_it_takes_a_write_for_each_part_and_two_more(store: MemoryStore, large: LargeLeases) -> None:
    before = store.revision
    begun = await large.begin(WANTED, OPENING, writes())
    assert isinstance(begun, SeenLease)
    assert begun == SeenLease(replace(lease(), parts=2), store.revision)
    assert store.revision - before == 4
    assert await keys(store, "parts/") == 2


async def test_a_conflict_leaves_nothing(store: MemoryStore, large: LargeLeases) -> None:
    await store.commit(Txn(puts=((KEYS.record(route("n150")), b"somebody's"),)))
    outcome = await large.begin(WANTED, OPENING, writes())
    assert isinstance(outcome, Conflict)
    assert outcome.keys == (KEYS.record(route("n150")),)
    assert await keys(store) == 1


async def test_a_lease_is_decided_once(store: MemoryStore, large: LargeLeases) -> None:
    seen = await large.begin(WANTED, OPENING, writes())
    assert isinstance(seen, SeenLease)
    assert seen == await Ledger(store, KEYS).lease(LEASE_1)
    assert await large.decide(seen, Closing(commit=True, now=NOON, by="CELL-1")) > seen.revision
    assert (await keys(store), await keys(store, "records/")) == (200, 200)
    with pytest.raises(StoreUnavailable, match="changed by another at the same moment"):
        await large.decide(seen, Closing(commit=False, now=NOON, by="CELL-1"))
    assert await keys(store, "records/") == 200


async def test_settling_leaves_alone_what_is_open_or_young(
    store: MemoryStore, large: LargeLeases, clock: TestClock
) -> None:
    await large.settle(LEASE_1)
    for phase in (Phase.OPEN, Phase.PREPARING):
        await store.commit(Txn(puts=((KEYS.lease(LEASE_1), encode_lease(lease(phase=phase))),)))
        clock.now = NOON + GIVEN_UP_AFTER - (GIVEN_UP_AFTER / 10)
        await large.settle(LEASE_1)
        assert await keys(store) == 1
    clock.now = NOON + GIVEN_UP_AFTER
    await large.settle(LEASE_1)
    assert await keys(store) == 0


async def test_two_that_settle_at_once_both_come_to_the_end(
    store: MemoryStore, large: LargeLeases, clock: TestClock
) -> None:
    await large.begin(WANTED, OPENING, writes())
    seen = await Ledger(store, KEYS).lease(LEASE_1)
    assert seen is not None
    decided = replace(seen.lease, phase=Phase.ROLLING_BACK)
    await store.commit(plan.change_lease(KEYS, decided, seen.revision))

    class Meddler(MemoryStore):
        """Lets another settle the lease right before each commit of a part."""

        meddled = False

        async def commit(self, txn: Txn) -> Committed | Conflict:
            if (txn.puts or txn.deletes) and not self.meddled:
                self.meddled = True
                await large.settle(LEASE_1)
            return await store.commit(txn)

    meddler = Meddler()
    meddler.list = store.list  # type: ignore[method-assign]
    await LargeLeases(Ledger(meddler, KEYS), clock).settle(LEASE_1)
    assert meddler.meddled
    assert await keys(store) == 0


async def test_an_undecided_lease_is_not_rewritten(large: LargeLeases) -> None:
    with pytest.raises(AssertionError, match="has not been decided"):
        await large._finished(SeenLease(lease(), 1))
