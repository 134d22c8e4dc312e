"""The log of changes: nothing is skipped, whoever commits late; and what was thrown away is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from tests.postgresql_server import NEEDS_POSTGRESQL, PostgresServer
from tests.topology.claims.samples import batch, route
from topology.claims.model import Lease, Record
from topology.claims.store import Begun, Changes
from topology.claims_postgresql import statements
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import Compacted, Rewound, StoreUnavailable

pytestmark = NEEDS_POSTGRESQL
NEVER = 60.0  # seconds between two looks at the log that nobody woke the watcher for


def values(changes: Changes) -> set[str]:
    return {entry.bucket.value for entry in changes.entries if isinstance(entry, Record)}


async def begin(store: PostgresClaims, *names: str) -> Lease:
    outcome = await store.begin(batch(1, names), "CELL")
    assert isinstance(outcome, Begun)
    return outcome.lease


@pytest.fixture
async def others(address: Address) -> AsyncIterator[Database]:
    """Give the connections of other writers, which are slow."""
    database = Database(address)
    yield database
    await database.close()


COMMIT_ONLY_ORDERED = statements.COMMIT.removesuffix("COMMIT")


async def test_a_late_commit_is_not_skipped(
    database: Database, others: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction has its cursor and is not committed yet: nobody overtakes it, and both are seen."""
    store = PostgresClaims(database, poll_seconds=NEVER)
    await begin(store, "first")
    after = (await store.list()).cursor
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        async with others.transaction() as slow:
            await slow.execute(statements.NOTE, ["/cellplane/v1-claims/records/ROUTES/slow"], [None], [], [])
            await slow.execute(COMMIT_ONLY_ORDERED)
            fast = tasks.create_task(begin(store, "fast"))
            # It has written all it has to write, and waits for its turn.
            while not await others.fetch(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ):
                await asyncio.sleep(0.005)
            assert (await store.list()).cursor == after
            assert not fast.done()
            await slow.execute("COMMIT")
        await fast
    seen: list[Changes] = []
    async with asyncio.timeout(10), aclosing(store.watch(after)) as steps:
        async for changes in steps:
            seen.append(changes)
            if len(seen) == 3:
                break
    assert [len(changes.entries) for changes in seen] == [0, 1, 2]
    assert [changes.cursor for changes in seen] == [after, after + 1, after + 2]


async def test_many_writers_and_watchers_and_nothing_is_missing(address: Address) -> None:
    """Watchers that begin at any time see each transaction once, in one order, until the last."""
    databases = [Database(address) for _ in range(3)]
    stores = [PostgresClaims(database, poll_seconds=NEVER) for database in databases]
    wanted = {f"{writer}-{number}" for writer in range(6) for number in range(10)}
    orders: list[list[int]] = []

    async def write(writer: int) -> None:
        for number in range(10):
            lease = await begin(stores[writer % 3], f"{writer}-{number}")
            await stores[(writer + 1) % 3].commit(1, lease.uuid, "CELL")

    async def follow(store: PostgresClaims) -> None:
        listing = await store.list()
        active = {e.bucket.value for e in listing.entries if isinstance(e, Record) and not e.lease}
        order: list[int] = []
        async with aclosing(store.watch(listing.cursor)) as steps:
            async for changes in steps:
                if changes.entries:
                    order.append(changes.cursor)
                active |= {e.bucket.value for e in changes.entries if isinstance(e, Record) and not e.lease}
                if active == wanted:
                    break
        assert order == sorted(set(order))
        orders.append(order)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(stores[0]))
        writers = [tasks.create_task(write(writer)) for writer in range(6)]
        tasks.create_task(follow(stores[1]))
        await asyncio.wait(writers, return_when=asyncio.FIRST_COMPLETED)
        tasks.create_task(follow(stores[2]))
    assert len(orders) == 3
    longest = max(orders, key=len)
    for order in orders:
        assert order == longest[len(longest) - len(order) :]
    for database in databases:
        await database.close()


async def test_the_clock_wakes_it_where_notifications_are_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "COMMIT", statements.COMMIT.replace("NOTIFY", "LISTEN"))
    store = PostgresClaims(database, poll_seconds=0.02)
    async with asyncio.timeout(10), aclosing(store.watch(0)) as steps:
        assert await anext(steps) == await anext(steps) == Changes(0)  # a bookmark now and then
        await begin(store, "acme")
        async for changes in steps:
            if changes.entries:
                assert values(changes) == {"acme"}
                break


async def test_more_than_is_read_in_one_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topology.claims_postgresql.watch.AT_ONCE", 2)
    store = PostgresClaims(database, poll_seconds=NEVER)
    for number in range(5):
        await begin(store, f"n{number}")
    async with asyncio.timeout(10), aclosing(store.watch(0)) as steps:
        assert [values(await anext(steps)) for _ in range(6)] == [set(), *({f"n{at}"} for at in range(5))]


async def test_what_was_thrown_away_is_told(store: PostgresClaims) -> None:
    for name in ("a", "b", "c"):
        await begin(store, name)
    listing = await store.list()
    assert await store.prune(timedelta(hours=1)) == 0
    assert await store.prune(timedelta(seconds=-60)) == 3
    assert (await store.list()).cursor == listing.cursor  # it never falls
    with pytest.raises(Compacted):
        await anext(store.watch(listing.cursor - 1))
    async with aclosing(store.watch(listing.cursor)) as steps:
        assert await anext(steps) == Changes(listing.cursor)
        await begin(store, "d")
        assert values(await anext(steps)) == {"d"}
    with pytest.raises(Rewound):
        await anext(store.watch(listing.cursor + 100))


async def test_pruning_goes_on_in_pieces(store: PostgresClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("topology.claims_postgresql.writing.PRUNED_AT_ONCE", 2)
    for number in range(5):
        await begin(store, f"n{number}")
    assert sum(await asyncio.gather(*(store.prune(timedelta(seconds=-60)) for _ in range(2)))) == 5


async def test_a_watch_breaks_with_its_server(postgresql_server: PostgresServer) -> None:
    database = Database(Address(postgresql_server.url()))
    await migrate(database)
    store = PostgresClaims(database, poll_seconds=NEVER)
    async with aclosing(store.watch(0)) as steps:
        await anext(steps)
        await postgresql_server.kill()
        with pytest.raises(StoreUnavailable):
            await anext(steps)
    await postgresql_server.start()
    await begin(store, "acme")
    async with asyncio.timeout(10), aclosing(store.watch(0)) as steps:
        assert await anext(steps) == Changes(0)
        assert values(await anext(steps)) == {"acme"}
    assert await store.get(route("acme")) is not None
    await database.close()
