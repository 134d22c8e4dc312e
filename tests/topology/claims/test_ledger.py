"""Reads by exact keys, and commits whose answer gets lost."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import LEASE_1, lease, record, route
from topology.claims.codec import encode_lease, encode_part, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.ledger import Ledger
from topology.claims.plan import Seen, SeenLease
from topology.claims.rules import Unreadable
from topology.errors import OutcomeUnknown, StoreRefused
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.store import Committed, Compare, Conflict, Txn

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
LEASE_KEY = KEYS.lease(LEASE_1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def ledger(store: MemoryStore) -> Ledger:
    return Ledger(store, KEYS)


async def put(store: MemoryStore, key: str, value: bytes) -> int:
    outcome = await store.commit(Txn(puts=((key, value),)))
    assert isinstance(outcome, Committed)
    return outcome.revision


async def test_records_are_read_by_their_exact_keys(store: MemoryStore, ledger: Ledger) -> None:
    revision = await put(store, KEYS.record(route("a")), encode_record(record("a")))
    await put(store, KEYS.record(route("ab")), encode_record(record("ab")))
    await put(store, KEYS.record(route("odd")), b"{}")
    before = store.revision
    assert await ledger.read([route("a"), route("none"), route("odd")]) == {
        route("a"): Seen(record("a"), revision),
        route("odd"): Unreadable(route("odd"), "schema: is missing: every field must be there"),
    }
    assert await ledger.read([]) == {}
    assert store.revision == before


async def test_many_records_are_read_in_several_steps(store: MemoryStore, ledger: Ledger) -> None:
    names = [f"n{number}" for number in range(300)]
    for name in names:
        await put(store, KEYS.record(route(name)), encode_record(record(name)))
    assert set(await ledger.read([route(name) for name in names])) == {route(name) for name in names}


async def test_a_lease_is_read(store: MemoryStore, ledger: Ledger) -> None:
    assert await ledger.lease(LEASE_1) is None
    revision = await put(store, LEASE_KEY, encode_lease(lease()))
    assert await ledger.lease(LEASE_1) == SeenLease(lease(), revision)


async def test_a_lease_or_part_that_cannot_be_read_waits_for_a_person(
    store: MemoryStore, ledger: Ledger
) -> None:
    await put(store, LEASE_KEY, b"{}")
    with pytest.raises(StoreRefused, match=f"the lease at {LEASE_KEY} can't be read: schema"):
        await ledger.lease(LEASE_1)
    await put(store, KEYS.part(LEASE_1, 3), b"{}")
    with pytest.raises(StoreRefused, match="/0003 can't be read: schema"):
        await ledger.parts(LEASE_1)


async def test_parts_come_by_number(store: MemoryStore, ledger: Ledger) -> None:
    for number in (2, 0, 10):
        await put(store, KEYS.part(LEASE_1, number), encode_part((route(str(number)),), (route("x"),)))
    parts = await ledger.parts(LEASE_1)
    assert [part.buckets for part in parts] == [(route(name), route("x")) for name in ("0", "2", "10")]


def new_lease() -> Txn:
    return Txn(compares=(Compare(LEASE_KEY, 0),), puts=((LEASE_KEY, encode_lease(lease())),))


async def test_a_lost_answer_is_found_again(store: MemoryStore, ledger: Ledger) -> None:
    store.inject(Faults(lose_answers=1))
    outcome = await ledger.commit(new_lease(), LEASE_KEY)
    assert outcome == Committed(store.revision)
    assert len((await store.list("/c-claims/")).records) == 1


async def test_anothers_write_is_a_conflict(store: MemoryStore, ledger: Ledger) -> None:
    await put(store, LEASE_KEY, b"somebody else's")
    store.inject(Faults(errors={"commit": [OutcomeUnknown("lost")]}))
    assert isinstance(await ledger.commit(new_lease(), LEASE_KEY), Conflict)


async def test_an_answer_that_is_lost_every_time_stays_unknown(store: MemoryStore, ledger: Ledger) -> None:
    store.inject(Faults(errors={"commit": [OutcomeUnknown("lost") for _ in range(5)]}))
    with pytest.raises(OutcomeUnknown, match="lost"):
        await ledger.commit(new_lease(), LEASE_KEY)
