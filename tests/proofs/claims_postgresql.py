"""Claims in PostgreSQL: 100 kills of the Topology Service, half of them together with the database, while
three clients claim, commit, look and move owners through gRPC; and every statement at a million claims.

Every history is linearizable, nobody sees a part of a batch, nothing acknowledged is lost. At a million
claims the planner finds the rows of each statement by its index, whether it knows the values or not.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.claims_under_kill import run
from tests.etcd_server import EtcdServer
from tests.postgresql_server import PostgresServer
from tests.prove import Steps
from tests.topology.claims_postgresql.plans import WANTED, fill, plan, unindexed
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate

ROUNDS = 25
KILLS = 4  # of a round: the search for an order grows with the calls that were cut off
CLAIMS = 1_000_000


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the rounds, each on tables of its own; then fill a million claims in and ask the planner."""
    total: Counter[str] = Counter()
    postgresql = PostgresServer()
    with tempfile.TemporaryDirectory() as folder:
        etcd = EtcdServer(Path(folder) / "etcd")
        try:
            await etcd.start()
            await postgresql.start()
            for number in range(ROUNDS):

                async def one_round(number: int = number) -> dict[str, int]:
                    prefix = f"/round-{number}"
                    return await run(etcd.endpoint, prefix, KILLS, number, Path(folder), postgresql)

                total.update(await steps.step(f"round {number}", one_round))
            planned = await steps.step("plans", lambda: plans(postgresql))
        finally:
            await postgresql.stop()
            await etcd.stop()
    assert total["kills"] == ROUNDS * KILLS, total
    assert total["cut_off"] >= ROUNDS, total
    assert total["moved"] >= ROUNDS // 3, total
    return {**total, "planned_at": planned, "statements": len(WANTED)}


async def plans(postgresql: PostgresServer) -> int:
    """Ask the planner about every statement; give the number of claims that it was asked about."""
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
