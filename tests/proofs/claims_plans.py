"""Claims in PostgreSQL: at a million claims, owners and transfers the planner finds the rows of each
statement by its index, whether it knows the values or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.postgresql_server import PostgresServer
from tests.prove import Steps
from tests.topology.claims_postgresql.plans import WANTED, fill, plan, unindexed
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate

CLAIMS = 1_000_000


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Fill a million claims in and ask the planner about every statement."""
    postgresql = PostgresServer()
    try:
        await postgresql.start()
        planned = await steps.step("plans", lambda: plans(postgresql))
    finally:
        await postgresql.stop()
    return {"claims": planned, "statements": len(WANTED)}


async def plans(postgresql: PostgresServer) -> int:
    """Ask about every statement; give the number of claims that it was asked about."""
    database = Database(Address(await postgresql.schema()))
    await migrate(database)
    await fill(database, claims=CLAIMS, leases=10_000, changes=200_000)
    found = [
        unindexed(name, *await plan(database, name, generic)) for name in WANTED for generic in (False, True)
    ]
    (row,) = await database.fetch("SELECT count(*) AS number FROM claims")
    await database.close()
    wrong = [each for each in found if each]
    assert not wrong, wrong
    return int(row["number"])
