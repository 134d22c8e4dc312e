"""Several replicas of the control plane over one store: what is held and released is so for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cellplane.latest import Latest
from cellplane.publisher import Publisher
from cellplane.pushes import EDGE, HELD, RELEASED
from cellplane.recorder import Recorder
from envoy.edge import EdgeSettings
from tests.cellplane.views import STAMP, cell
from tests.processes import eventually
from topology.apply import Applied, apply, read_view
from topology.codec import encode
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.planning import plan_document
from topology.store import Txn
from topology.view import View
from topology.watcher import Watcher
from xds.cache import Cache
from xds.resource import CLUSTER

KEYSPACE = Keyspace()


@dataclass
class Replica:
    cache: Cache
    publisher: Publisher
    listens: bool = True

    def clusters(self) -> int:
        current = self.cache.current(EDGE)
        return len(current.of_type(CLUSTER)) if current else 0

    @property
    def held(self) -> str:
        return self.publisher.state.held.id if self.publisher.state.held else ""


@asynccontextmanager
async def replica(store: MemoryStore, name: str) -> AsyncIterator[Replica]:
    cache = Cache()
    recorder = Recorder(store, KEYSPACE, None, name, pause_seconds=0.01)
    made = Replica(cache, Publisher(cache, EdgeSettings(), recorder))
    views: Latest[View] = Latest()
    watcher = Watcher(store, KEYSPACE)

    def publish(view: View) -> None:
        if made.listens:
            views.set(view)

    async def catch_up() -> None:
        while True:
            if made.listens and watcher.view is not None and watcher.view is not made.publisher.state.view:
                views.set(watcher.view)
            await asyncio.sleep(0.01)

    tasks = [
        asyncio.ensure_future(work)
        for work in (watcher.run(publish), recorder.run(), made.publisher.run(views), catch_up())
    ]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def write(store: MemoryStore, *ids: int) -> None:
    await store.commit(Txn(puts=tuple((KEYSPACE.cell(each), encode(cell(each))) for each in ids)))


async def remove(store: MemoryStore, *ids: int) -> None:
    await store.commit(Txn(deletes=tuple(map(KEYSPACE.cell, ids))))


async def release(store: MemoryStore, identity: str) -> None:
    done = await apply(store, KEYSPACE, lambda view: plan_document(view, RELEASED, identity, {}, STAMP))
    assert isinstance(done, Applied)


async def kinds(store: MemoryStore) -> set[str]:
    return {kind for kind, _ in (await read_view(store, KEYSPACE)).documents}


async def until(*replicas: Replica, clusters: int, held: bool) -> None:
    async def all_do() -> bool:
        return all(each.clusters() == clusters and bool(each.held) == held for each in replicas)

    await eventually(all_do, f"{clusters} clusters, held: {held}")


async def good_is(store: MemoryStore, clusters: int) -> None:
    async def says() -> bool:
        view = await read_view(store, KEYSPACE)
        return any(document.body.get("clusters") == clusters for document in view.documents.values())

    await eventually(says, f"a good count of {clusters}")


async def test_replicas_hold_alike_and_a_release_reaches_the_slower_one_too() -> None:
    store = MemoryStore()
    await write(store, 1, 2, 3, 4)
    async with replica(store, "a") as a, replica(store, "b") as b:
        await until(a, b, clusters=4, held=False)
        await good_is(store, 4)
        await remove(store, 2, 3, 4)
        await until(a, b, clusters=4, held=True)
        assert a.held == b.held, "both name it alike"

        b.listens = False
        await release(store, a.held)
        await until(a, clusters=1, held=False)

        async def cleaned() -> bool:
            return not await kinds(store) & {HELD, RELEASED}

        await eventually(cleaned, "both documents' end")
        assert b.held
        b.listens = True
        await until(a, b, clusters=1, held=False)


async def test_a_release_that_was_overtaken_does_not_release_what_comes_later() -> None:
    store = MemoryStore()
    await write(store, 1, 2, 3, 4, 5)
    async with replica(store, "a") as a:
        await until(a, clusters=5, held=False)
        await good_is(store, 5)
        await remove(store, 2, 3, 4, 5)
        await until(a, clusters=5, held=True)
        first = a.held
        await remove(store, 1)

        async def another() -> bool:
            return a.held not in ("", first)

        await eventually(another, "another push held")
        await release(store, first)

        async def forgotten() -> bool:
            return RELEASED not in await kinds(store)

        await eventually(forgotten, "the end of the release that nobody waits for")
        await write(store, 1, 2, 3, 4, 5)
        await until(a, clusters=5, held=False)
        await remove(store, 2, 3, 4, 5)
        await until(a, clusters=5, held=True)
        assert a.held == first, "the same loss is asked about again"
