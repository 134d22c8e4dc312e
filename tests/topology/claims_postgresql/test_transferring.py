"""What is the PostgreSQL store's own about transfers, beside the contract that all keep."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.test_transfers import wish
from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims.samples import OTHER, OWNER, batch, route
from topology.claims.model import Record, Subject, SubjectType
from topology.claims.owners import OwnerElsewhere
from topology.claims.store import Begun, Obstructed
from topology.claims.transfer import Hindered, Transferred
from topology.claims.transfer_obstacles import LeasesOpen
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.store import PostgresClaims
from topology.claims_postgresql.transferring import locked

pytestmark = NEEDS_POSTGRESQL


async def owned(store: PostgresClaims, *values: str) -> None:
    outcome = await store.begin(batch(1, values), "CELL")
    assert isinstance(outcome, Begun)
    await store.commit(1, outcome.lease.uuid, "CELL")


def test_begins_share_what_a_transfer_has_alone() -> None:
    assert locked([], shared=True) == ""
    assert locked([OWNER, OTHER, OWNER], shared=True).count("pg_advisory_xact_lock_shared(") == 2
    many = [Subject(SubjectType.USER, number) for number in range(1, 1000)]
    assert locked(many, shared=False).count("pg_advisory_xact_lock(") == 8  # of a type


async def test_a_begin_under_way_is_waited_for_and_seen(store: PostgresClaims, database: Database) -> None:
    """It has its lock and has not written yet: the transfer waits, and finds its lease."""
    await owned(store, "acme")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        async with database.transaction(locked([OWNER], shared=True)) as begin:
            moving = tasks.create_task(store.transfer(wish(), "ADMIN"))
            waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not await database.fetch(waiting):
                await asyncio.sleep(0.005)
            lease = await store.begin(batch(1, ["new"], subject=OTHER), "CELL")  # nobody else waits
            assert isinstance(lease, Begun)
            await begin.execute("UPDATE claims SET lease = $1, status = 'LEASE_DESTROYING' "
                                "WHERE bucket_value = 'acme'", lease.lease.uuid)  # fmt: skip
            await begin.execute("COMMIT")
        assert await moving == Hindered((LeasesOpen(OWNER, (lease.lease.uuid,)),))


async def test_a_begin_that_waited_out_a_transfer_is_refused(store: PostgresClaims) -> None:
    await owned(store, "acme")
    outcomes = await asyncio.gather(
        store.transfer(wish(), "ADMIN"), *(store.begin(batch(1, [f"n{at}"]), "CELL") for at in range(5))
    )
    moved = isinstance(outcomes[0], Transferred)
    found = await store.get(route("acme"))
    assert isinstance(found, Record)
    assert found.cell_id == (2 if moved else 1)
    for outcome in outcomes[1:]:
        # Either it was there before the transfer, which then did not move, or it came too late.
        assert isinstance(outcome, Begun) != moved
        assert isinstance(outcome, Begun) or outcome == Obstructed((OwnerElsewhere(OWNER, 2, 2),))


async def test_more_than_the_log_tells_one_by_one(
    store: PostgresClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topology.claims_postgresql.transferring.TOLD_ONE_BY_ONE", 1)
    await owned(store, "acme", "acme/web")
    before = (await store.list()).cursor
    outcome = await store.transfer(wish(), "ADMIN")
    assert isinstance(outcome, Transferred)
    watch = store.watch(before)
    assert (await anext(watch)).cursor == before
    changes = await anext(watch)
    assert (changes.cursor, [type(each).__name__ for each in changes.entries]) == (outcome.cursor, ["Owner"])
    await watch.aclose()
