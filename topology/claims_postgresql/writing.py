"""The ends of transactions: what they did is noted down in the log, and they commit at the next cursor.

The store and transfers write through it. Nothing else gives cursors, or throws away what is old. Third road:
where a transaction commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from topology.claims.generations import slots
from topology.claims.model import Bucket, Lease, Record
from topology.claims.owners import Owner
from topology.claims.rules import Unreadable
from topology.claims_postgresql import statements
from topology.claims_postgresql.failures import in_doubt, told
from topology.claims_postgresql.rows import Row, change_of, digest, found_in, record_of
from topology.codec import encode
from topology.errors import StoreError
from topology.model import Departure

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Connection, Database

PRUNED_AT_ONCE: Final = 1000


async def found_by(
    connection: Connection, statement: str, buckets: Sequence[Bucket]
) -> dict[Bucket, Record | Unreadable]:
    """Read the claims of buckets inside a transaction."""
    with told():
        rows = await connection.fetch(
            statement, [int(bucket.type) for bucket in buckets], [digest(each) for each in buckets]
        )
    return found_in(rows)


async def commit_end(connection: Connection, lease: str, rows: Iterable[Row]) -> int:
    """Note down how a lease ended, and commit; give the cursor."""
    written: list[Record] = []
    gone: list[Bucket] = []
    for row in rows:
        record = None if row["stays"] is None else record_of(row)
        if isinstance(record, Record) and row["stays"]:
            written.append(record)
        elif isinstance(record, Record):
            gone.append(record.bucket)
    return await commit_changes(connection, written, gone, (lease,))


async def commit_changes(
    connection: Connection,
    written: Iterable[Record | Lease | Owner],
    gone: Sequence[Bucket] = (),
    closed: Iterable[str] = (),
    departures: Iterable[Departure] = (),
    moved: Iterable[Bucket] = (),
) -> int:
    """Note down what the transaction did, and commit it at the next cursor, which is given; 0 where it can't
    be told any more.
    """
    with told():
        await connection.execute(
            statements.NOTE,
            *change_of(written, gone, closed),
            slots((*gone, *moved)),
            [encode(departure).decode() for departure in departures],
        )
    with in_doubt():
        await connection.execute(statements.COMMIT)
    try:
        with told():
            return int(await connection.fetchval(statements.CURSOR))
    except StoreError:  # it is committed all the same
        return 0


async def prune_log(database: Database, before: datetime) -> int:
    """Throw away what is older, and say how much. Several may do it at the same time."""
    pruned = 0
    while True:
        async with database.transaction() as connection:
            with told():
                found: int = await connection.fetchval(statements.PRUNE, before, PRUNED_AT_ONCE)
                await connection.execute("COMMIT")
        pruned += found
        if found < PRUNED_AT_ONCE:
            return pruned
