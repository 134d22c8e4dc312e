"""Claims in PostgreSQL: 100 kills of the Topology Service, half of them together with the database, while
three clients claim, commit, look and move owners through gRPC.

Every history is linearizable, nobody sees a part of a batch, nothing acknowledged is lost.
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

ROUNDS = 25
KILLS = 4  # of a round: the search for an order grows with the calls that were cut off


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the rounds, each on tables of its own."""
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
        finally:
            await postgresql.stop()
            await etcd.stop()
    assert total["kills"] == ROUNDS * KILLS, total
    assert total["cut_off"] >= ROUNDS, total
    assert total["moved"] >= ROUNDS // 3, total
    return dict(total)
