"""Every change that an operator makes and every crash that happens, while requests flow through a real Envoy.

A test runs one round, the proof of the same name many. Each request is recorded with what it should have met.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from cellplane.demo.changes import UP, Wanted, added, moved, removed, ruled, weighed
from cellplane.demo.stage import Stage
from cellplane.demo.traffic import UNOWNED, Answer, Traffic, failed, path_ask, session_ask, wrong_owner
from tests.envoy_process import never_fell_back
from topology.model import CellState

RATE_PER_SECOND = 50.0
DOWN = (CellState.DRAINING, CellState.DRAINED, CellState.DECOMMISSIONED)


def down(cell_id: int, state: CellState) -> Wanted:
    return moved(cell_id, state, over_seconds=0 if state is CellState.DRAINING else None)


async def begin_topology(stage: Stage, *options: str) -> int:
    """Bring up etcd and the control plane with three active cells and rules; return their revision."""
    await stage.start_etcd()
    await stage.start_control_plane(*options)
    for cell_id in (1, 2, 3):
        await stage.commit(added(await stage.start_cell(cell_id)))
        for state in UP:
            await stage.commit(moved(cell_id, state))
    return await stage.commit(ruled())


async def begin(stage: Stage) -> None:
    """Bring up etcd, the control plane, three active cells and Envoy."""
    revision = await begin_topology(stage)
    await stage.start_envoy()
    await stage.fleet(settled=revision)


async def one_round(stage: Stage, traffic: Traffic, newcomer: int) -> list[Answer]:
    """Add, weigh, quarantine, drain and remove cells, kill the control plane, restart etcd; return what is
    lost.
    """
    lost: list[Answer] = []
    mark = traffic.mark()

    async def settle(change: Wanted, quarantined: int | None = None) -> None:
        nonlocal mark
        await stage.change(change)
        await traffic.more(25)
        lost.extend(failed(traffic.since(mark), quarantined=quarantined))
        mark = traffic.mark()

    await stage.commit(added(await stage.start_cell(newcomer)))
    for state in UP:
        await settle(moved(newcomer, state))
    await settle(weighed(newcomer, 300))
    await settle(weighed(1, 10))
    await settle(moved(3, CellState.QUARANTINED), quarantined=3)
    await settle(moved(3, CellState.ACTIVE), quarantined=3)
    # Most of what nobody owns goes to it: the service wants it weighed down before it drains.
    await settle(weighed(newcomer, 100))
    for state in DOWN:
        await settle(down(newcomer, state))
    await settle(removed(newcomer))
    await stage.kill("control-plane")
    await traffic.more(50)
    await stage.start_control_plane()
    await settle(weighed(1, 100))
    await stage.restart_etcd()
    await settle(weighed(2, 100))
    return lost


async def run(stage: Stage, rounds: int) -> dict[str, Any]:
    """Run rounds under traffic and return what came of it."""
    await begin(stage)
    asks = [session_ask(1), UNOWNED, session_ask(2), UNOWNED, session_ask(3), path_ask("/acme", 3)]
    traffic = Traffic(stage.edge_url, asks, RATE_PER_SECOND)
    lost: list[Answer] = []
    flow = asyncio.ensure_future(traffic.run())
    try:
        await traffic.more(10)
        for number in range(rounds):
            lost += await one_round(stage, traffic, newcomer=10 + number)
    finally:
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
    await never_fell_back(stage.admin_url)
    return {
        "requests": len(traffic.answers),
        "lost": len(lost),
        "first_lost": [(answer.ask.kind, answer.status, answer.error) for answer in lost[:5]],
        "wrong_owner": len(wrong_owner(traffic.answers)),
        "refused_by_quarantine": sum(answer.status == 503 for answer in traffic.answers) - len(lost),
        "by_cell": {str(cell): count for cell, count in Counter(a.cell for a in traffic.answers).items()},
    }
