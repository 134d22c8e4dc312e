"""The Topology Service is killed 100 times with -9 while three clients claim, commit, move owners and look,
and while cells that claim are ended and opened again.

Every history is linearizable: each claim has at most one owner at every instant, nothing acknowledged is
lost, no reader sees a part of a batch, no cell ends that owns something, and what dead services left is
finished by those that follow.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.claims_under_kill import run
from tests.etcd_server import EtcdServer
from tests.prove import Steps

ROUNDS = 25
KILLS = 4  # of a round: the search for an order grows with the calls that were cut off


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the rounds, each on keys of its own, with a seed of its own."""
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        server = EtcdServer(Path(folder) / "etcd")
        await server.start()
        try:
            for number in range(ROUNDS):

                async def one_round(number: int = number) -> dict[str, int]:
                    return await run(server.endpoint, f"/round-{number}", KILLS, number, Path(folder))

                total.update(await steps.step(f"round {number}", one_round))
        finally:
            await server.stop()
    assert total["kills"] == ROUNDS * KILLS, total
    assert total["cut_off"] >= ROUNDS, total
    assert total["moved"] >= ROUNDS // 3, total
    assert total["ended"] >= ROUNDS, total
    return dict(total)
