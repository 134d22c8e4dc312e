"""The follower: an index that keeps up, through broken watches and lost history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.topology.claims.samples import LEASE_1, NOON, TestClock, batch, counting_uuids, lease, route
from topology.claims.codec import encode_lease
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Phase
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.store import Txn
from topology.watcher import Backoff

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
EAGER = Backoff(first_seconds=0.001, most_seconds=0.001)


class Stage:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = TestClock()
        self.claims = StoredClaims(self.store, KEYS, clock=self.clock, new_uuid=counting_uuids())
        self.pauses: list[float] = []
        self.follower = ClaimFollower(self.claims, backoff=EAGER, sleep=self.pause, chance=lambda: 0.5)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def caught_up(self) -> None:
        async with asyncio.timeout(5):
            await self.follower.reached(self.store.revision)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(stage.follower.run())
        yield stage
        task.cancel()


async def begun(stage: Stage, *values: str) -> str:
    outcome = await stage.claims.begin(batch(1, values), "CELL-1")
    assert isinstance(outcome, Begun)
    return outcome.lease.uuid


async def test_it_has_what_was_there_and_what_comes() -> None:
    stage = Stage()
    await begun(stage, "a")
    async with running(stage):
        await stage.caught_up()
        assert stage.follower.index.find(route("a")) is not None
        await begun(stage, "b")
        await stage.caught_up()
        assert stage.follower.index.find(route("b")) is not None
        assert stage.follower.state.connected
        assert stage.follower.state.listings == 1


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    stage = Stage()
    async with running(stage):
        await stage.caught_up()
        stage.store.inject(Faults(unreachable=True))
        async with asyncio.timeout(5):
            while stage.follower.state.connected:
                await asyncio.sleep(0)
        assert stage.follower.state.last_error == "the store can't be reached"
        stage.store.inject(Faults())
        await begun(stage, "a")
        await stage.caught_up()
        state = stage.follower.state
        assert (state.listings, state.relists, state.resumes) == (1, 0, 1)
        assert stage.follower.index.find(route("a")) is not None


async def test_lost_history_means_to_list_again() -> None:
    stage = Stage()
    async with running(stage):
        await stage.caught_up()
        await begun(stage, "a")
        await begun(stage, "b")
        stage.store.compact()
        await stage.caught_up()
        assert stage.follower.state.relists == 1
        assert stage.follower.index.find(route("b")) is not None
        assert len(stage.follower.index) == 2


async def test_it_finishes_what_a_dead_writer_left_and_leaves_open_leases_alone() -> None:
    stage = Stage()
    open_ = await begun(stage, "a")
    left = replace(lease(phase=Phase.PREPARING), uuid=LEASE_1.replace("1", "9"), created_at=NOON)
    await stage.store.commit(Txn(puts=((KEYS.lease(left.uuid), encode_lease(left)),)))
    stage.clock.advance(minutes=10)
    async with running(stage):
        async with asyncio.timeout(5):
            while left.uuid in stage.follower.index.leases or not stage.follower.loaded:
                await asyncio.sleep(0)
        assert set(stage.follower.index.leases) == {open_}


async def test_a_lease_that_cannot_be_finished_is_noted_and_tried_again() -> None:
    stage = Stage()
    left = lease(phase=Phase.ROLLING_BACK)
    await stage.store.commit(Txn(puts=((KEYS.lease(LEASE_1), encode_lease(left)),)))
    stage.store.inject(Faults(errors={"commit": [StoreUnavailable("no quorum")]}))
    async with running(stage):
        async with asyncio.timeout(5):
            while LEASE_1 in stage.follower.index.leases or not stage.follower.loaded:
                await asyncio.sleep(0)
    assert stage.follower.state.failures == 1
    assert stage.follower.state.last_error == "no quorum"
