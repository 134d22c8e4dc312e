"""Rejected versions outlive a restart, and replicas agree on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cellplane.held_versions import REJECTED, body_of, document_name, held_versions
from cellplane.hold_keeper import HoldKeeper
from tests.conversation import in_memory
from tests.processes import eventually
from tests.xds.configuration import both, cluster, snapshot
from topology.apply import apply, read_view
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.model import Stamp
from topology.planning import plan_document
from topology.watcher import Watcher
from xds.hold_book import HoldBook
from xds.resource import CLUSTER

KEYSPACE = Keyspace()
KEY = (CLUSTER, "a")
BAD, GOOD = cluster("a", 2), cluster("a", 1)


@asynccontextmanager
async def replica(
    store: MemoryStore, name: str = "test", pause_seconds: float = 0.0
) -> AsyncIterator[HoldBook]:
    """Run a hold book that is kept in the store and follows it."""
    book = HoldBook()
    keeper = HoldKeeper(store, book, name, pause_seconds)
    keeper.learn(await read_view(store, KEYSPACE))
    tasks = [
        asyncio.ensure_future(Watcher(store, KEYSPACE).run(keeper.learn)),
        asyncio.ensure_future(keeper.run()),
    ]
    try:
        yield book
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def kept(store: MemoryStore, count: int) -> None:
    async def look() -> bool:
        return len(held_versions(await read_view(store, KEYSPACE))) == count

    await eventually(look, f"{count} documents")


async def test_a_restart_does_not_send_what_was_rejected_to_a_new_node() -> None:
    store = MemoryStore()
    async with replica(store) as book:
        book.joined("g", "n1", "1.40.0").reject(BAD, "a: no", GOOD)
        await kept(store, 1)
    async with replica(store) as book:
        talk = in_memory("delta", snapshot(2, both("a", seconds=2)), holds=book.joined("g", "new", "1.40.0"))
        await talk.envoy.asks(CLUSTER)
        # The last good version is there too.
        said = await talk.expect.sends(CLUSTER, "a")
        assert said.versions == {"a": GOOD.version}


async def test_a_second_replica_learns_it_and_both_agree_over_nodes_of_either() -> None:
    store = MemoryStore()
    async with replica(store, "one") as one, replica(store, "two") as two:
        for name, book in (("n1", one), ("n2", one), ("n3", two), ("n4", two)):
            book.joined("g", name, "1.40.0")
        one.joined("g", "n1", "1.40.0").reject(BAD, "a: no", GOOD)
        await eventually(lambda: _returned(two.group("g").records), "the second replica to hear of it")
        assert list(two.held()) == []
        two.joined("g", "n3", "1.40.0").reject(BAD, "a: no", GOOD)
        await eventually(lambda: _returned([*one.held()] and [*two.held()]), "both to hold it")
        talk = in_memory("delta", snapshot(2, both("a", seconds=2)), holds=one.joined("g", "new", "1.40.0"))
        await talk.envoy.asks(CLUSTER)
        assert (await talk.expect.sends(CLUSTER, "a")).versions == {"a": GOOD.version}


async def test_a_verdict_on_the_group_waits_for_no_pause() -> None:
    store = MemoryStore()
    async with replica(store, pause_seconds=3600.0) as book:
        one, two = (book.joined("g", name, "1.40.0") for name in ("n1", "n2"))
        one.reject(BAD, "a: no", GOOD)
        await kept(store, 1)
        two.reject(BAD, "a: no", GOOD)

        async def look() -> bool:
            (found,) = held_versions(await read_view(store, KEYSPACE))
            return found.record.held == (BAD.version,)

        await eventually(look, "the verdict in the store")


async def _returned(found: object) -> object:
    return found


async def test_what_an_operator_releases_is_sent_again() -> None:
    store = MemoryStore()
    async with replica(store) as book:
        holds = book.joined("g", "n1", "1.40.0")
        holds.reject(BAD, "a: no", GOOD)
        await kept(store, 1)
        await eventually(lambda: _returned(book.group("g")._foreign), "its own word to come back")
        stamp = Stamp(updated_by="ada", updated_at="2026-11-22T10:00:00+00:00", reason="")
        await apply(
            store,
            KEYSPACE,
            lambda view: plan_document(view, REJECTED, document_name("g", KEY), None, stamp),
        )
        await eventually(lambda: _returned(book.group("g").idle), "the release")
        assert holds.effective(BAD) == BAD


async def test_a_store_that_fails_is_tried_again_and_said(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    book = HoldBook()
    keeper = HoldKeeper(store, book, "test", pause_seconds=0.0)
    keeper.learn(await read_view(store, KEYSPACE))
    store.inject(Faults(errors={"commit": [StoreUnavailable("away")]}))
    book.joined("g", "n1", "v").reject(BAD, "a: no", GOOD)
    task = asyncio.ensure_future(keeper.run())
    try:
        await kept(store, 1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "holds_not_kept count=1 error=away" in caplog.text
    assert keeper.write_error == ""
    (found,) = held_versions(await read_view(store, KEYSPACE))
    assert body_of("g", found.record) == body_of("g", book.group("g").records[KEY])
