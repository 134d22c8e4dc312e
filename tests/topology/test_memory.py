"""What only the store in memory can do. What it promises like any other is in tests/contract."""

from __future__ import annotations

import pytest

from tests.contract.recording import recorded
from topology.errors import OutcomeUnknown, Rewound, StoreRefused, StoreUnavailable
from topology.memory import Faults, MemoryStore
from topology.store import Batch, Committed, Txn

PUT = Txn(puts=(("/a", b"1"),))


async def test_it_starts_anywhere_or_where_it_is_told() -> None:
    assert len({MemoryStore().revision for _ in range(20)}) > 1
    store = MemoryStore(start_revision=7)
    assert await store.commit(PUT) == Committed(8)


async def test_it_can_be_out_of_reach() -> None:
    store = MemoryStore()
    async with recorded(store, "/", store.revision) as recording:
        store.inject(Faults(unreachable=True))
        assert isinstance(await recording.end(), StoreUnavailable)
    for call in (store.list("/"), store.commit(PUT), anext(store.watch("/", store.revision))):
        with pytest.raises(StoreUnavailable):
            await call
    store.inject(Faults())
    assert (await store.list("/")).records == ()


async def test_it_raises_what_it_is_told_in_order() -> None:
    store = MemoryStore()
    store.inject(Faults(errors={"list": [StoreRefused("no"), StoreUnavailable("later")]}))
    with pytest.raises(StoreRefused, match="no"):
        await store.list("/")
    assert isinstance(await store.commit(PUT), Committed)
    with pytest.raises(StoreUnavailable, match="later"):
        await store.list("/")
    assert len((await store.list("/")).records) == 1


async def test_an_error_ends_a_watch_that_runs() -> None:
    store = MemoryStore()
    async with recorded(store, "/", store.revision) as recording:
        store.inject(Faults(errors={"watch": [StoreUnavailable("cut")]}))
        assert str(await recording.end()) == "cut"


async def test_a_lost_answer_is_not_a_lost_commit() -> None:
    store = MemoryStore()
    store.inject(Faults(lose_answers=1))
    with pytest.raises(OutcomeUnknown):
        await store.commit(PUT)
    assert len((await store.list("/")).records) == 1
    assert isinstance(await store.commit(PUT), Committed)


async def test_bookmarks_come_when_called() -> None:
    store = MemoryStore()
    at = store.revision
    async with recorded(store, "/", at) as recording:
        store.bookmark()
        await recording.until(lambda batches: batches == [Batch(at), Batch(at)])


async def test_it_can_become_another_store() -> None:
    store, backup = MemoryStore(start_revision=100), MemoryStore(start_revision=10)
    await backup.commit(PUT)
    async with recorded(store, "/", 100) as recording:
        store.become(backup)
        await store.commit(PUT)
        assert isinstance(await recording.end(), Rewound)
    assert (await store.list("/")).revision == 12
