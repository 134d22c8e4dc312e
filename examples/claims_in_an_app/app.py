"""An application in a cell: routes in its own PostgreSQL, each path claimed in the whole cluster.

`python app.py create PATH` adds one; `--die before|after` kills the process at its local commit, for `run.py`
to show what becomes of the claim. DATABASE_URL, TOPOLOGY (host:port) and CELL_ID say where and who it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import grpc.aio

from topology.claims.model import Bucket, BucketType, Metadata, Source, SourceType, Subject, SubjectType
from topology.client.calls import Patience
from topology.client.claims import ClaimClient
from topology.client.errors import ClaimError
from topology.client.reconcile import Action
from topology.client.verify import Drift, Stated

TABLES = """
CREATE TABLE IF NOT EXISTS routes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text NOT NULL UNIQUE,
    namespace_id bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS outstanding_leases (
    uuid text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
)"""


def claim_of(row: Mapping[str, Any]) -> Metadata:
    """State the claim that a row stands for."""
    return Metadata(
        bucket=Bucket(BucketType.ROUTES, row["path"]),
        subject=Subject(SubjectType.NAMESPACE, row["namespace_id"]),
        # Ids are compared byte by byte: eight bytes, the highest first, keep them in order.
        source=Source(SourceType.RAILS_TABLE_ROUTES, row["id"].to_bytes(8, "big")),
    )


class App:
    """The application, on its database and its claims. It is the table of its leases and of its rows, too."""

    def __init__(self, database: asyncpg.Pool, claims: ClaimClient) -> None:
        self.database = database
        self.claims = claims

    async def create(self, path: str, namespace_id: int, die: str = "") -> int:
        """Add a route and claim its path, both or neither."""
        async with self.database.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                row = await connection.fetchrow(
                    "INSERT INTO routes (path, namespace_id) VALUES ($1, $2) RETURNING *", path, namespace_id
                )
                async with self.claims.claiming(creates=[claim_of(row)]) as lease:
                    await connection.execute("INSERT INTO outstanding_leases (uuid) VALUES ($1)", lease.uuid)
                    lease.about_to_commit()
                    if die == "before":
                        os._exit(9)
                    try:
                        await transaction.commit()
                    except (asyncpg.IntegrityConstraintViolationError, asyncpg.SerializationError):
                        lease.not_committed()  # the database says so; any other error leaves it in doubt
                        raise
                    if die == "after":
                        os._exit(9)
            except BaseException:
                if connection.is_in_transaction():
                    await transaction.rollback()
                raise
        if lease.closed:
            await self.forget(lease.uuid)
        return int(row["id"])

    async def rows(self) -> Mapping[str, datetime]:
        """Give every lease that is noted down, for reconciliation."""
        found = await self.database.fetch("SELECT uuid, created_at FROM outstanding_leases")
        return {row["uuid"]: row["created_at"] for row in found}

    async def forget(self, lease: str) -> None:
        """Delete the note of a lease."""
        await self.database.execute("DELETE FROM outstanding_leases WHERE uuid = $1", lease)

    async def reconcile(self, now: datetime) -> tuple[Action, ...]:
        """Close what a crash left open. Each minute."""
        return await self.claims.reconcile(self, now)

    async def claims_behind(self, after: bytes, rows: int) -> Mapping[Bucket, Stated]:
        """Give what the next rows behind an id claim, for verification."""
        query = "SELECT * FROM routes WHERE id > $1 ORDER BY id LIMIT $2"
        found = await self.database.fetch(query, int.from_bytes(after, "big"), rows)
        return {claim_of(row).bucket: Stated(claim_of(row), row["updated_at"]) for row in found}

    async def verify(self, now: datetime) -> Drift:
        """Compare all rows with the claims. A few times a day, not in all cells at the same moment."""
        return await self.claims.verify_all(self, SourceType.RAILS_TABLE_ROUTES, [BucketType.ROUTES], now=now)


@asynccontextmanager
async def running(database_url: str, topology: str, cell_id: int) -> AsyncIterator[App]:
    """Connect an application."""
    async with (
        asyncpg.create_pool(database_url, min_size=0) as database,
        grpc.aio.insecure_channel(topology) as channel,
    ):
        await database.execute(TABLES)
        # A laptop that also runs etcd, PostgreSQL and the service may be slower than 0.2 s now and then.
        yield App(database, ClaimClient(channel, cell_id, patience=Patience(begin=5)))


async def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["create"])
    parser.add_argument("path")
    parser.add_argument("--die", choices=["before", "after"], default="")
    arguments = parser.parse_args()
    where = os.environ["DATABASE_URL"], os.environ["TOPOLOGY"], int(os.environ["CELL_ID"])
    async with running(*where) as app:
        try:
            await app.create(arguments.path, namespace_id=1, die=arguments.die)
        except ClaimError as error:
            print(f"{type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
