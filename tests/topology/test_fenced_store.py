"""A store that writes only while one leads."""

from __future__ import annotations

import pytest

from topology.errors import StoreUnavailable
from topology.fenced_store import FencedStore
from topology.leader import Leadership
from topology.memory import MemoryStore
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, Txn

LEADER = "/t-leaders/moves"


async def led(store: MemoryStore) -> FencedStore:
    outcome = await store.commit(Txn(puts=((LEADER, b"first"),)))
    assert isinstance(outcome, Committed)
    return FencedStore(store, Leadership(LEADER, outcome.revision))


async def test_it_writes_while_the_leader_leads() -> None:
    store = MemoryStore()
    fenced = await led(store)
    assert isinstance(await fenced.commit(Txn(puts=(("/t/a", b"1"),))), Committed)
    assert isinstance(
        await fenced.commit(Txn(compares=(Compare("/t/a", 0),), puts=(("/t/a", b"2"),))), Conflict
    )
    assert [record.value for record in (await fenced.list("/t/")).records] == [b"1"]


async def test_it_writes_nothing_for_one_who_was_deposed_and_still_reads() -> None:
    store = MemoryStore()
    fenced = await led(store)
    await store.commit(Txn(puts=((LEADER, b"second"),)))
    with pytest.raises(StoreUnavailable, match="another leads by now"):
        await fenced.commit(Txn(puts=(("/t/a", b"1"),)))
    assert not (await fenced.list("/t/")).records
    assert isinstance(await fenced.commit(Txn(compares=(Compare("/t/a", 0),))), Committed)
    await fenced.close()
    assert (await store.list(LEADER)).records, "the store is not its own to close"


async def test_what_has_no_room_for_the_fence_goes_by_its_own_compares() -> None:
    store = MemoryStore()
    fenced = await led(store)
    full = tuple(Compare(f"/t/{number}", 0) for number in range(MAX_TXN_OPERATIONS))
    assert isinstance(await fenced.commit(Txn(compares=full, puts=(("/t/0", b"1"),))), Committed)
