"""Generations reach the topology from the log, at least once, whoever dies; and the log is kept short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tests.contract.test_transfers import wish
from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.processes import eventually
from tests.topology.claims.samples import batch, route
from topology.apply import read_view
from topology.claims.generations import slot
from topology.claims.store import Begun
from topology.claims.transfer import Transferred
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.store import PostgresClaims
from topology.claims_postgresql.upkeep import Upkeep
from topology.keys import SLOTS, Keyspace
from topology.memory import Faults, MemoryStore

pytestmark = NEEDS_POSTGRESQL
KEYS = Keyspace("/cellplane/v1")


class Stage:
    """Claims in PostgreSQL beside a topology in memory, and replicas that keep them up."""

    def __init__(self, address: Address) -> None:
        self.store = MemoryStore()
        self.address = address
        self.database = Database(address)
        self.claims = PostgresClaims(self.database)

    @asynccontextmanager
    async def upkeep(self) -> AsyncIterator[Upkeep]:
        database = Database(self.address)

        async def briefly(_: float) -> None:
            await asyncio.sleep(0.01)

        upkeep = Upkeep(database, PostgresClaims(database), self.store, KEYS, sleep=briefly)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upkeep.run())
            yield upkeep
            running.cancel()
        await database.close()

    async def drop(self, *names: str) -> None:
        for close in (self.claims.commit, self.claims.commit):
            exists = await self.claims.get(route(names[0])) is not None
            wanted = batch(1, destroys=names) if exists else batch(1, names)
            outcome = await self.claims.begin(wanted, "CELL")
            assert isinstance(outcome, Begun)
            await close(1, outcome.lease.uuid, "CELL")

    async def generations(self) -> dict[int, int]:
        return dict((await read_view(self.store, KEYS)).generations)

    async def reached(self, slots: set[int]) -> bool:
        return set(await self.generations()) == slots


@pytest.fixture
async def stage(address: Address) -> AsyncIterator[Stage]:
    stage = Stage(address)
    yield stage
    await stage.database.close()


async def test_what_is_dropped_is_told_and_nothing_else(stage: Stage) -> None:
    async with stage.upkeep():
        first = await stage.claims.begin(batch(1, ["kept"]), "CELL")
        assert isinstance(first, Begun)
        await stage.claims.commit(1, first.lease.uuid, "CELL")
        await stage.drop("a", "b")
        wanted = {slot(route("a")), slot(route("b"))}
        await eventually(lambda: stage.reached(wanted), "the generations of a and b")
        before = await stage.generations()
        await stage.drop("a")

        async def risen() -> bool:
            now = await stage.generations()
            return now[slot(route("a"))] > before[slot(route("a"))]

        await eventually(risen, "the generation of a to rise again")
        assert (await stage.generations())[slot(route("b"))] == before[slot(route("b"))]


async def test_what_was_dropped_while_nobody_told_is_told_later(stage: Stage) -> None:
    await stage.drop("a")
    async with stage.upkeep() as upkeep:
        await eventually(lambda: stage.reached({slot(route("a"))}), "the generation of a")
        told = await stage.generations()
        stage.store.inject(Faults(unreachable=True))
        await stage.drop("b")

        async def failed() -> bool:
            return upkeep.state.failures > 0

        await eventually(failed, "etcd to be missed")
        stage.store.inject(Faults())
        await eventually(lambda: stage.reached({slot(route("a")), slot(route("b"))}), "the generation of b")
    # The position is kept: another replica does not begin anew.
    async with stage.upkeep() as upkeep:

        async def telling() -> bool:
            return upkeep.state.published > 0

        await eventually(telling, "the next to take over")
        assert (await stage.generations())[slot(route("a"))] == told[slot(route("a"))]


async def test_one_tells_at_a_time_and_another_takes_over(stage: Stage) -> None:
    async with stage.upkeep() as second, stage.upkeep() as first:

        async def one() -> bool:
            return first.state.telling or second.state.telling

        await eventually(one, "one to tell")
        assert first.state.telling != second.state.telling
        leader, other = (first, second) if first.state.telling else (second, first)
        async with stage.database.transaction() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            )

        async def again() -> bool:
            return leader.state.failures > 0 and (leader.state.telling or other.state.telling)

        await eventually(again, "the lock to be taken anew")
        await stage.drop("a")
        await eventually(lambda: stage.reached({slot(route("a"))}), "the generation of a")


async def test_who_left_is_told_and_never_overwritten_by_an_earlier_leave(stage: Stage) -> None:
    outcome = await stage.claims.begin(batch(1, ["acme"]), "CELL")
    assert isinstance(outcome, Begun)
    await stage.claims.commit(1, outcome.lease.uuid, "CELL")

    async def epoch(wanted: int) -> bool:
        departed = (await read_view(stage.store, KEYS)).departed.get("NAMESPACE/42")
        return departed is not None and departed.epoch == wanted

    assert isinstance(await stage.claims.transfer(wish(), "ADMIN"), Transferred)
    async with stage.upkeep() as upkeep:
        await eventually(lambda: epoch(2), "the departure from cell 1")
        assert set(await stage.generations()) == {slot(route("acme"))}
        first = (await stage.store.list(KEYS.departure("NAMESPACE/42"))).records[0].value.decode()
        assert isinstance(await stage.claims.transfer(wish(2, source=2, to=1), "ADMIN"), Transferred)
        await eventually(lambda: epoch(3), "the departure from cell 2")
        await upkeep._depart(first)  # by one who lost its turn
        assert await epoch(3)
    await stage.claims.prune(timedelta(seconds=-60))
    stage.store = MemoryStore()  # as after a restore
    async with stage.database.transaction() as connection:
        await connection.execute("UPDATE claim_log SET published = 0")
        await connection.execute("COMMIT")
    async with stage.upkeep():
        await eventually(lambda: epoch(3), "both departures, in their order")


async def test_where_the_log_is_gone_all_is_told(stage: Stage) -> None:
    await stage.drop("a")
    await stage.claims.prune(timedelta(seconds=-60))
    async with stage.upkeep():
        await eventually(lambda: stage.reached(set(range(SLOTS))), "all generations")


async def test_the_log_is_kept_short(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pruned = asyncio.Event()

    async def prune(self: PostgresClaims) -> int:
        pruned.set()
        return 0

    monkeypatch.setattr(PostgresClaims, "prune", prune)
    async with asyncio.timeout(10), stage.upkeep():
        await pruned.wait()
