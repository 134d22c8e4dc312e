"""A prefix in memory: whole at the start, and again after whatever the store does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from cellplane.followed import Followed
from tests.processes import eventually
from topology.memory import Faults, MemoryStore
from topology.store import Record, Txn
from topology.watcher import Backoff

QUICK = Backoff(first_seconds=0.01, most_seconds=0.02)


class Told:
    """Keeps what a follower was told, as a reader of its own would."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.times = 0

    def __call__(self, news: Mapping[str, Record | None]) -> None:
        self.times += 1
        for key, record in news.items():
            if record is None:
                del self.values[key]
            else:
                self.values[key] = record.value


@asynccontextmanager
async def following(store: MemoryStore, told: Told) -> AsyncIterator[Followed]:
    followed = Followed(store, "/p/", told, backoff=QUICK)
    task = asyncio.ensure_future(followed.run())
    try:
        await followed.listed.wait()
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(told: Told, **values: bytes) -> None:
    async def says() -> bool:
        return told.values == {f"/p/{name}": value for name, value in values.items()}

    await eventually(says, f"{values}")


async def put(store: MemoryStore, *, delete: str = "", **values: bytes) -> None:
    puts = tuple((f"/p/{name}", value) for name, value in values.items())
    await store.commit(Txn(puts=puts, deletes=(f"/p/{delete}",) if delete else ()))


async def test_what_is_there_what_comes_and_what_goes() -> None:
    store, told = MemoryStore(), Told()
    await put(store, a=b"1")
    await store.commit(Txn(puts=(("/q/other", b"x"),)))
    async with following(store, told) as followed:
        await until(told, a=b"1")
        await put(store, b=b"2")
        await put(store, delete="a", c=b"3")
        await until(told, b=b"2", c=b"3")
        assert set(followed.records) == {"/p/b", "/p/c"}
        assert followed.state.connected


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    store, told = MemoryStore(), Told()
    await put(store, a=b"1")
    async with following(store, told) as followed:
        await until(told, a=b"1")
        store.inject(Faults(unreachable=True))

        async def broken() -> bool:
            return not followed.state.connected and followed.state.failures > 0

        await eventually(broken, "the broken watch")
        store.inject(Faults())
        await put(store, b=b"2")
        await until(told, a=b"1", b=b"2")
        assert followed.state.relists == 0


async def test_after_a_compaction_it_lists_again_and_tells_what_changed_meanwhile() -> None:
    store, told = MemoryStore(), Told()
    await put(store, a=b"1", b=b"2")
    async with following(store, told) as followed:
        await until(told, a=b"1", b=b"2")
        store.inject(Faults(unreachable=True))

        async def broken() -> bool:
            return followed.state.failures > 0

        await eventually(broken, "the broken watch")
        store.inject(Faults())
        await put(store, delete="a", b=b"3")
        await put(store, c=b"4")
        store.compact()
        await until(told, b=b"3", c=b"4")
