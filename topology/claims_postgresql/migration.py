"""Brings the tables up to date, step by step, while services go on working.

The command runs it. A step waits only briefly for locks that writers hold, and tries again; an index is built
beside them. What was applied is never taken back. Third road.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from topology.claims_postgresql.connection import Database, encoding_problem
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.schema import BOOK, MIGRATIONS, Migration
from topology.claims_postgresql.statements import MIGRATION_LOCK
from topology.errors import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Listener as Connection

# Writers that come after a waiting step wait behind it: so it waits briefly, and often.
LOCK_MILLISECONDS: Final = 2000
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 2.0
# An index over a million claims takes seconds, over a billion hours; nobody waits for it.
_PATIENT: Final = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}


async def pending(database: Database) -> tuple[Migration, ...]:
    """Give the steps that the database lacks. Raises StoreRefused where what was applied is not what we
    know.
    """
    async with database.dedicated() as connection:
        return await _pending(connection, MIGRATIONS)


async def migrate(
    database: Database,
    *,
    migrations: Sequence[Migration] = MIGRATIONS,
    applied: Callable[[Migration], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    lock_milliseconds: int = LOCK_MILLISECONDS,
) -> tuple[Migration, ...]:
    """Apply the steps that the database lacks, and give them. An interrupted run goes on where it was."""
    async with database.dedicated(**_PATIENT, lock_timeout=f"{lock_milliseconds}") as connection:
        with told():
            if problem := encoding_problem(await connection.fetchval("SHOW server_encoding")):
                raise problem
            # Never wait for it in the server: who waits there holds up the building of an index.
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATION_LOCK):
                raise StoreUnavailable("another migration is running: try again when it is through")
            await connection.execute(BOOK)
        missing = await _pending(connection, migrations)
        for migration in missing:
            await _applied(connection, migration, sleep)
            applied(migration)
        return missing


async def _pending(connection: Connection, migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    with told():
        if await connection.fetchval("SELECT to_regclass('claim_migrations')") is None:
            return tuple(migrations)
        rows = await connection.fetch("SELECT number, name, checksum FROM claim_migrations")
    done = {row["number"]: row for row in rows}
    for migration in migrations:
        row = done.get(migration.number)
        if row is not None and row["checksum"] != migration.checksum:
            raise StoreRefused(
                f"migration {migration.number} ({row['name']}) was applied in another form than this "
                f"version's: these are not our tables, or they were made by an unreleased version"
            )
    return tuple(migration for migration in migrations if migration.number not in done)


async def _applied(
    connection: Connection, migration: Migration, sleep: Callable[[float], Awaitable[None]]
) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with told():
                if migration.index:
                    await _build(connection, migration)
                else:
                    async with connection.transaction():
                        await connection.execute(migration.statement, timeout=float("inf"))
                        await _note(connection, migration)
            return
        except StoreUnavailable as error:
            busy = isinstance(error.__cause__, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError)
            if not busy or attempt == ATTEMPTS:
                raise
        await sleep(PAUSE_SECONDS)


async def _build(connection: Connection, migration: Migration) -> None:
    """Build an index; what a run that was interrupted left of it is no index, and goes first."""
    await connection.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{migration.index}"')
    await connection.execute(migration.statement, timeout=float("inf"))
    await _note(connection, migration)


async def _note(connection: Connection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO claim_migrations (number, name, checksum) VALUES ($1, $2, $3)",
        migration.number, migration.name, migration.checksum,
    )  # fmt: skip
