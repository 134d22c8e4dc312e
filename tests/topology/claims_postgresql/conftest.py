"""A PostgreSQL schema with the tables of the claims, and stores on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.postgresql_server import PostgresServer
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.claims_postgresql.store import PostgresClaims

Another = Callable[[], PostgresClaims]


@pytest.fixture
async def empty(postgresql: PostgresServer) -> Address:
    """Give the address of a schema without any table."""
    return Address(await postgresql.schema())


@pytest.fixture
async def address(empty: Address) -> Address:
    """Give the address of a schema with the tables."""
    await migrate(Database(empty))
    return empty


@pytest.fixture
async def database(address: Address) -> AsyncIterator[Database]:
    database = Database(address)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> PostgresClaims:
    return PostgresClaims(database)
