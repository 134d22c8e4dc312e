"""A watcher on a real etcd whose network and process fail: nothing lost, nothing twice, all as listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.conftest import StartEtcd
from tests.contract.etcd_admin import compact
from tests.faults.proxy import Proxy, proxied
from tests.processes import eventually
from tests.topology.samples import cell
from topology.apply import read_view
from topology.codec import encode
from topology.errors import StoreError, StoreUnavailable
from topology.etcd import EtcdStore, Timeouts
from topology.keys import Keyspace
from topology.store import Committed, Txn
from topology.view import View
from topology.watcher import Backoff, Watcher

SPACE = Keyspace()
QUICK = Timeouts(connect=0.5, call=1.0, progress=0.1, silence=0.4)
SOON = Backoff(first_seconds=0.02, most_seconds=0.1)


@dataclass
class Followed:
    """A watcher that runs, and every View that it published."""

    watcher: Watcher
    views: list[View] = field(default_factory=list)

    async def until(self, wanted: Callable[[], bool], words: str) -> None:
        async def look() -> bool:
            return wanted()

        await eventually(look, f"{words}; {self.watcher.state}")

    async def reaches(self, revision: int) -> None:
        await self.until(
            lambda: bool(self.views) and self.views[-1].revision >= revision, f"revision {revision}"
        )

    async def connects(self) -> None:
        await self.until(lambda: self.watcher.state.connected, "a connection")

    async def disconnects(self) -> None:
        await self.until(lambda: not self.watcher.state.connected, "a broken connection")


@asynccontextmanager
async def following(*endpoints: str) -> AsyncIterator[Followed]:
    store = EtcdStore(endpoints, timeouts=QUICK)
    followed = Followed(Watcher(store, SPACE, backoff=SOON))
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(followed.watcher.run(followed.views.append))
            await followed.connects()
            yield followed
            task.cancel()
    finally:
        await store.close()


async def write(store: EtcdStore, weight: int) -> int:
    """Write one cell's weight, trying until it is known to be there; the value says which write it was."""
    while True:
        try:
            outcome = await store.commit(Txn(puts=((SPACE.cell(1), encode(cell(1, weight=weight))),)))
        except StoreUnavailable:
            await asyncio.sleep(0.01)
            continue
        assert isinstance(outcome, Committed)
        return outcome.revision


def weights(followed: Followed) -> list[int]:
    return [view.cells[1].weight for view in followed.views if 1 in view.cells]


async def check_view(followed: Followed, store: EtcdStore) -> None:
    """See that the followed View is what a fresh listing gives."""
    fresh = await read_view(store, SPACE)
    await followed.until(
        lambda: followed.watcher.view is not None and followed.watcher.view.cells == fresh.cells,
        "the same cells",
    )
    assert followed.watcher.view is not None
    assert followed.watcher.view.mod_revisions == fresh.mod_revisions
    assert followed.watcher.view.quarantined == fresh.quarantined == {}


@asynccontextmanager
async def behind_a_proxy(endpoint: str) -> AsyncIterator[tuple[Proxy, EtcdStore, Followed]]:
    """Follow through a proxy, write past it."""
    writer = EtcdStore([endpoint], timeouts=QUICK)
    try:
        async with proxied(endpoint) as proxy, following(proxy.endpoint) as followed:
            yield proxy, writer, followed
    finally:
        await writer.close()


async def test_connections_that_are_cut_lose_nothing(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    async with behind_a_proxy(server.endpoint) as (proxy, store, followed):
        revision = 0
        for number in range(60):
            revision = await write(store, number)
            if number % 6 == 5:
                proxy.cut()
        await followed.reaches(revision)
        assert weights(followed) == list(range(60))
        assert followed.watcher.state.relists == 0
        assert followed.watcher.state.resumes >= 1
        await check_view(followed, store)


async def test_a_network_that_stalls_is_left_and_nothing_is_lost(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    async with behind_a_proxy(server.endpoint) as (proxy, store, followed):
        await write(store, 0)
        proxy.stall()
        revisions = [await write(store, number) for number in range(1, 10)]
        await followed.disconnects()
        assert "no answer within" in followed.watcher.state.last_error
        proxy.restore()
        await followed.connects()
        await followed.reaches(revisions[-1])
        assert weights(followed) == list(range(10))
        assert followed.watcher.state.relists == 0


async def test_an_etcd_that_is_away_for_long_is_waited_for(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    async with behind_a_proxy(server.endpoint) as (proxy, store, followed):
        await write(store, 0)
        proxy.refuse()
        await followed.until(lambda: followed.watcher.state.failures >= 5, "several attempts")
        last = await write(store, 1)
        assert len(followed.views) <= 2
        proxy.restore()
        await followed.reaches(last)
        assert weights(followed) == [0, 1]


async def test_history_that_was_compacted_meanwhile_is_listed(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    async with behind_a_proxy(server.endpoint) as (proxy, store, followed):
        await store.commit(Txn(puts=tuple((SPACE.cell(number), encode(cell(number))) for number in (2, 3))))
        await followed.reaches(await write(store, 0))
        kept = followed.views[-1].cells[2]
        proxy.refuse()
        await followed.disconnects()
        await store.commit(Txn(deletes=(SPACE.cell(3),)))
        last = [await write(store, number) for number in range(1, 5)][-1]
        await compact(server.endpoint, last)
        proxy.restore()
        await followed.reaches(last)
        assert followed.watcher.state.relists == 1
        assert weights(followed) == [0, 4]
        assert list(followed.views[-1].cells) == [1, 2]
        assert followed.views[-1].cells[2] is kept
        await check_view(followed, store)


async def test_an_etcd_that_is_killed_again_and_again_loses_nothing(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    writer = EtcdStore([server.endpoint], timeouts=QUICK)
    try:
        async with following(server.endpoint) as followed:
            number = revision = 0
            for _ in range(3):
                for _ in range(15):
                    number, revision = number + 1, await write(writer, number)
                await server.kill()
                await followed.disconnects()
                await server.start()
            revision = await write(writer, number)
            await followed.reaches(revision)
            seen = weights(followed)
            # A write whose answer was lost is repeated: its number may stand twice, each at its own revision.
            assert sorted(set(seen)) == list(range(number + 1))
            assert seen == sorted(seen)
            revisions = [view.revision for view in followed.views]
            assert revisions == sorted(set(revisions))
            assert followed.watcher.state.relists == 0
            assert followed.watcher.state.resumes == 3
            await check_view(followed, writer)
    finally:
        await writer.close()


async def test_a_frozen_etcd_is_noticed(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    async with following(server.endpoint) as followed:
        server.pause()
        await followed.disconnects()
        server.resume()
        await followed.connects()


async def test_a_connection_is_probed_where_the_watch_cannot_be_asked(etcd_server: StartEtcd) -> None:
    # Without progress answers only HTTP/2's own pings notice a peer that is frozen.
    server = await etcd_server(["--grpc-keepalive-min-time=100ms"])
    probing = Timeouts(connect=0.5, call=1.0, keepalive=0.3, keepalive_answer=0.5, progress=600, silence=1200)
    store = EtcdStore([server.endpoint], timeouts=probing)
    error: StoreError | None = None
    try:
        at = (await store.list("/")).revision
        watch = store.watch("/", at)
        await anext(watch)
        server.pause()
        async with asyncio.timeout(20):
            try:
                await anext(watch)
            except StoreUnavailable as caught:
                error = caught
        assert error is not None
    finally:
        server.resume()
        await store.close()


async def test_one_endpoint_of_several_may_be_gone(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    writer = EtcdStore([server.endpoint], timeouts=QUICK)
    try:
        async with (
            proxied(server.endpoint) as first,
            proxied(server.endpoint) as second,
            following(first.endpoint, second.endpoint) as followed,
        ):
            await followed.reaches(await write(writer, 0))
            assert (first.connections, second.connections) == (1, 0)
            first.refuse()
            await followed.reaches(await write(writer, 1))
            assert (first.connections, second.connections) == (0, 1)
            first.restore()
            second.stall()
            await followed.reaches(await write(writer, 2))
            assert weights(followed) == [0, 1, 2]
            assert followed.watcher.state.relists == 0
    finally:
        await writer.close()


async def test_a_restored_backup_is_believed(etcd_server: StartEtcd) -> None:
    live, backup = await etcd_server(), await etcd_server()
    async with behind_a_proxy(live.endpoint) as (proxy, store, followed):
        await store.commit(Txn(puts=((SPACE.cell(2), encode(cell(2))),)))
        last = [await write(store, number) for number in range(5)][-1]
        await followed.reaches(last)
        kept = followed.views[-1].cells[2]
        old = EtcdStore([backup.endpoint], timeouts=QUICK)
        try:
            at = await old.commit(Txn(puts=((SPACE.cell(2), encode(cell(2))),)))
            assert isinstance(at, Committed)
            proxy._upstream = backup.endpoint
            proxy.cut()
            await followed.until(lambda: followed.views[-1].revision == at.revision, "the backup's revision")
        finally:
            await old.close()
        assert list(followed.views[-1].cells) == [2]
        assert followed.views[-1].cells[2] is kept
        assert followed.watcher.state.relists == 1
