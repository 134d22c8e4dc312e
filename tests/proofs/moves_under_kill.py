"""Owners move behind a real Envoy while whoever leads the moves is killed with -9: in each step,
forth and back, and at random moments.

Two Topology Services may lead, and a control plane with one inside. The next goes on within ten seconds; each
step is done once, each transfer happens once, the application does the work of each key once; after each move
the edge sends the owner's requests to where it is.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import Ask, ask
from tests.changes_under_traffic import begin_topology
from tests.moves_under_kill import BACK, Arena, arena_of, at_random, moved_under_kill
from tests.processes import eventually
from tests.prove import Steps
from topology.moves.model import Step
from topology.moves.steps import FORWARD

TIMES = 2
RANDOM = 10


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Kill in each step twice, and at ten random moments."""

    async def whole() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            return await run(Path(folder))

    found: dict[str, Any] = await steps.step("all", whole)
    assert found["slowest_resumed"] < 10, found
    return found


async def run(folder: Path) -> dict[str, Any]:
    chance = random.Random(20261128)
    kills: list[Step | float] = [*(FORWARD + BACK) * TIMES, *(at_random(chance) for _ in range(RANDOM))]
    chance.shuffle(kills)
    ports = Ports()
    async with (
        Stage(folder, ports) as stage,
        arena_of(ports.etcd_endpoint, stage.keyspace.prefix, folder, 2) as arena,
    ):
        options = (f"--ext-proc={ports.ext_proc_address}", f"--topology-move-hooks={folder / 'hooks.yaml'}")
        revision = await begin_topology(stage, *options)
        await stage.start_ext_proc()
        await stage.start_envoy()
        await stage.fleet(settled=revision)
        arena.pids = _with_control_plane(arena, stage, options)
        for number, at in enumerate(kills, start=1):
            for replica in arena.replicas:
                if not replica.child.running:
                    await replica.start()
            await moved_under_kill(arena, number, at)
            await _lands(stage, number, 1 if at in BACK else 2)
        led = len(arena.resumed)
        assert not stage.dead_children()
    ordered = sorted(arena.resumed)
    return {
        "kills": len(kills),
        "in_a_step": led,
        "median_resumed": round(ordered[led // 2], 1),
        "slowest_resumed": round(ordered[-1], 1),
    }


def _with_control_plane(
    arena: Arena, stage: Stage, options: tuple[str, ...]
) -> Callable[[], dict[int, Callable[[], Awaitable[float]]]]:
    """Let the control plane lead and die too. It is started again, for without it no Envoy acknowledges."""
    others = arena.pids

    async def kill() -> float:
        await stage.kill("control-plane")
        killed_at = time.monotonic()
        await stage.start_control_plane(*options)
        return killed_at

    return lambda: {**others(), stage.pid("control-plane"): kill}


async def _lands(stage: Stage, number: int, cell_id: int) -> None:
    request = Ask(kind="claimed path", path=f"/org-{number}-0/web")

    async def there() -> bool:
        async with aiohttp.ClientSession() as session:
            return (await ask(session, stage.edge_url, request)).cell == cell_id

    await eventually(there, f"owner {number} to land on cell {cell_id}", within=15)
