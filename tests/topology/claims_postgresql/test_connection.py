"""Connections on a real server that comes and goes."""

from __future__ import annotations

import asyncio

import pytest

from tests.postgresql_server import NEEDS_POSTGRESQL, PASSWORD, PostgresServer
from tests.processes import eventually
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database, Limits, encoding_problem
from topology.errors import StoreRefused, StoreUnavailable

IN_A_HURRY = Limits(connections=1, statement=0.1)


def test_names_are_unicode_or_nothing() -> None:
    assert encoding_problem("UTF8") is None
    assert "ENCODING 'UTF8'" in str(encoding_problem("LATIN1"))


@NEEDS_POSTGRESQL
async def test_a_password_comes_apart_from_the_url(postgresql: PostgresServer) -> None:
    database = Database(Address(postgresql.url(password=""), PASSWORD))
    assert [row["one"] for row in await database.fetch("SELECT 1 AS one")] == [1]
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.fetch("SELECT 1")
    refused = Database(Address(postgresql.url(password=""), "wrong-and-secret"))
    with pytest.raises(StoreRefused) as caught:
        await refused.fetch("SELECT 1")
    assert "secret" not in str(caught.value)
    await refused.close()


async def test_nobody_there() -> None:
    database = Database(Address("postgresql://ada@127.0.0.1:1/claims"), IN_A_HURRY)
    with pytest.raises(StoreUnavailable):
        await database.fetch("SELECT 1")
    with pytest.raises(StoreUnavailable):
        async with database.dedicated():
            pass
    await database.close()


@NEEDS_POSTGRESQL
async def test_a_block_that_does_not_commit_leaves_nothing(postgresql: PostgresServer) -> None:
    database = Database(Address(await postgresql.schema()), IN_A_HURRY)
    for error in (None, ZeroDivisionError):
        try:
            async with database.transaction() as connection:
                await connection.execute("CREATE TABLE things (id integer)")
                if error is not None:
                    raise error
        except ZeroDivisionError:
            pass
        rows = await database.fetch("SELECT to_regclass('things') AS there")
        assert rows[0]["there"] is None
    await database.close()


@NEEDS_POSTGRESQL
async def test_nothing_takes_for_ever(postgresql: PostgresServer) -> None:
    database = Database(Address(postgresql.url()), IN_A_HURRY)
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await database.fetch("SELECT pg_sleep(60)")
    await database.close()
    database = Database(Address(postgresql.url()), Limits(connections=1))
    async with database.transaction():  # the only connection
        database.limits = Limits(connections=1, wait=0.02)
        with pytest.raises(StoreUnavailable, match="in time"):
            await database.fetch("SELECT 1")
    await database.close()


@NEEDS_POSTGRESQL
async def test_it_survives_that_the_server_restarts(postgresql_server: PostgresServer) -> None:
    database = Database(Address(postgresql_server.url()), Limits(connections=3))

    async def one() -> int:
        (row,) = await database.fetch("SELECT 1 AS one")
        return int(row["one"])

    assert await asyncio.gather(*(one() for _ in range(3))) == [1, 1, 1]
    async with database.transaction() as connection:
        await connection.execute("SELECT 1")
        await postgresql_server.kill()
    with pytest.raises(StoreUnavailable):
        await one()
    await postgresql_server.start()
    assert await asyncio.gather(*(one() for _ in range(3))) == [1, 1, 1]
    await database.close()


async def test_a_caller_that_goes_while_a_lock_is_waited_for_leaves_nothing_open(
    address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    """A client's deadline ends a begin that waits; the driver took what it had begun for our mistake."""
    database = Database(address, Limits(connections=2))
    async with database.transaction("; SELECT pg_advisory_xact_lock(7)"):
        waiting = asyncio.create_task(used(database, "; SELECT pg_advisory_xact_lock(7)"))

        async with database.dedicated() as other:

            async def waits() -> bool:
                query = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                return bool(await other.fetchval(query))

            await eventually(waits, "the lock is waited for")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await used(database, "; SELECT pg_advisory_xact_lock(7)")
    assert "Resetting connection" not in caplog.text
    await database.close()


async def used(database: Database, how: str) -> None:
    async with database.transaction(how):
        pass
