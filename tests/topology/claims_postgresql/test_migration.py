"""Migrations on a real server: what is missing is applied, once, and beside those who write."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims.samples import batch
from topology.claims.store import Begun
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate, pending
from topology.claims_postgresql.schema import MIGRATIONS, NEWEST, Migration
from topology.claims_postgresql.store import PostgresClaims
from topology.errors import StoreRefused, StoreUnavailable

pytestmark = NEEDS_POSTGRESQL


@pytest.fixture
async def database(empty: Address) -> Database:
    return Database(empty)


async def test_what_is_missing_is_applied_once(database: Database) -> None:
    store = PostgresClaims(database)
    with pytest.raises(StoreRefused, match="cellplane topology migrate"):
        await store.list()
    assert await pending(database) == MIGRATIONS
    told: list[Migration] = []
    assert await migrate(database, migrations=MIGRATIONS[:2], applied=told.append) == MIGRATIONS[:2]
    assert tuple(told) == MIGRATIONS[:2]
    with pytest.raises(StoreRefused, match=f"at version 2, needed is {NEWEST}"):
        await store.list()
    assert await migrate(database) == MIGRATIONS[2:]
    assert await migrate(database) == await pending(database) == ()
    assert isinstance(await store.begin(batch(1, ["acme"]), "CELL"), Begun)
    await database.close()


async def test_a_step_that_is_not_ours_is_noticed(database: Database) -> None:
    await migrate(database, migrations=[replace(MIGRATIONS[0], statement="SELECT 1")])
    with pytest.raises(StoreRefused, match=r"migration 1 .* in another form"):
        await pending(database)


async def test_an_index_that_was_left_half_built_is_built_anew(database: Database) -> None:
    await migrate(database, migrations=MIGRATIONS[:1])
    row = "gen_random_uuid(), 1, 'acme', 1, 1, 1, '', 'BUCKET', 1, 'ACTIVE', now(), now(), ''"
    columns = (
        "uuid, bucket_type, bucket_value, subject_type, subject_id, source_type, source_id, spelling, "
        "cell_id, status, created_at, updated_at, updated_by"
    )
    async with database.dedicated() as connection:
        for _ in range(2):
            await connection.execute(f"INSERT INTO claims ({columns}) SELECT {row}")
        with pytest.raises(StoreRefused, match="claims_bucket"):
            await migrate(database)
        invalid = (
            "SELECT count(*) FROM pg_index WHERE indexrelid = 'claims_bucket'::regclass AND NOT indisvalid"
        )
        assert await connection.fetchval(invalid) == 1
        await connection.execute("DELETE FROM claims")
        await migrate(database)
        assert await connection.fetchval(invalid) == 0


async def test_it_waits_briefly_for_writers_and_tries_again(database: Database) -> None:
    await migrate(database)
    step = Migration(number=NEWEST + 1, name="a column", statement="ALTER TABLE claims ADD COLUMN more text")
    pauses: list[float] = []
    holding, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.transaction() as connection:
            await connection.execute("LOCK TABLE claims IN ROW EXCLUSIVE MODE")
            holding.set()
            await let_go.wait()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        # While it waits for its next attempt, others write.
        assert isinstance(await PostgresClaims(database).begin(batch(1, ["acme"]), "CELL"), Begun)
        let_go.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold())
        await holding.wait()
        await migrate(database, migrations=(*MIGRATIONS, step), sleep=pause, lock_milliseconds=50)
    assert pauses == [2.0]
    await database.close()


async def test_two_at_once_do_not_wait_for_each_other(database: Database) -> None:
    async def pause(_: float) -> None: ...

    outcomes = await asyncio.gather(*(migrate(database) for _ in range(3)), return_exceptions=True)
    done = [each for each in outcomes if isinstance(each, tuple)]
    others = [each for each in outcomes if not isinstance(each, tuple)]
    assert done
    assert all(isinstance(each, StoreUnavailable) for each in others)
    assert await pending(database) == ()
