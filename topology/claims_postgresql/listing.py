"""Everything that is on record, read at one cursor.

The store lists with it, the copy verifies with it. `etcd Event -> View -> Snapshot -> Response`, its first
arrow, for claims.
"""

from __future__ import annotations

from typing import Final

from topology.claims.store import Changes, Entry
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.rows import lease_of, owner_of, record_of

READ_AT_ONCE: Final = 2000


async def read_all(database: Database) -> Changes:
    """Read everything at one cursor, whether or not somebody may work there."""
    async with database.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
        with told():
            cursor = await connection.fetchval(statements.NEWEST)
            entries: list[Entry] = [lease_of(row) for row in await connection.fetch(statements.ALL_LEASES)]
            entries += map(owner_of, await connection.fetch(statements.ALL_OWNERS))
            claims = connection.cursor(statements.ALL_CLAIMS, prefetch=READ_AT_ONCE)
            entries.extend([record_of(row) async for row in claims])
    return Changes(cursor, tuple(entries))
