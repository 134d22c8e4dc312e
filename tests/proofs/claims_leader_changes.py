"""Claims over a real etcd of three members: its leader is moved, or killed, before each kill of the Topology
Service, while three clients claim, commit, look and move owners through gRPC.

Every history is linearizable, nobody sees a part of a batch, nothing acknowledged is lost. The leader is
killed on Debian's etcd; on the one that tests bring along, which could lose committed data then, it is moved.
With the claims in PostgreSQL, the database is killed with every other service, while etcd's leader moves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.claims_under_kill import run
from tests.etcd_cluster import EtcdCluster
from tests.postgresql_server import PostgresServer
from tests.prove import Steps

KILLS = 2  # of a round, each after a change of leader: the search for an order grows with calls cut off
MOVED, KILLED, DATABASE = 20, 25, 10  # rounds


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the rounds, each on keys of its own, with a seed of its own."""
    debian = shutil.which("etcd")
    assert debian, "needs Debian's etcd-server: make tools"
    postgresql = PostgresServer()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        moving, killing = EtcdCluster(folder / "moving"), EtcdCluster(folder / "killing", debian)
        parts: dict[str, tuple[EtcdCluster, Callable[[], Awaitable[None]], PostgresServer | None, int]] = {
            "leader_moved": (moving, moving.move_leader, None, MOVED),
            "leader_killed": (killing, killing.kill_leader, None, KILLED),
            "leader_moved_database_killed": (moving, moving.move_leader, postgresql, DATABASE),
        }
        try:
            await moving.start()
            await killing.start()
            await postgresql.start()
            for part, (cluster, disturb, database, rounds) in parts.items():
                total: Counter[str] = Counter()
                for number in range(rounds):

                    async def one_round(
                        part: str = part,
                        number: int = number,
                        cluster: EtcdCluster = cluster,
                        disturb: Callable[[], Awaitable[None]] = disturb,
                        database: PostgresServer | None = database,
                    ) -> dict[str, int]:
                        prefix = f"/{part}-{number}"
                        return await run(cluster.endpoints, prefix, KILLS, number, folder, database, disturb)

                    total.update(await steps.step(f"{part} {number}", one_round))
                found[part] = {"etcd": await cluster.version(), "leader_changes": rounds * KILLS, **total}
                assert total["kills"] == rounds * KILLS, total
                assert total["cut_off"] >= rounds // 2, total
        finally:
            await postgresql.stop()
            await moving.stop()
            await killing.stop()
    return found
