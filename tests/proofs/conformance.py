"""All 98 runs of the public xds-test-harness, 20 times, against the conformance target as a process of its
own.

Played as the harness plays them: its waits (3 s for what shall come, 15 s for what shall not), its quirks,
one node and one connection per variant, each run after the other, and nothing between an unsubscription and
the change that follows it. Not one run fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from grpc import aio

from tests.conformance.conftest import Target, running_target
from tests.conformance.pace import AsTheHarness
from tests.conformance.player import NonconformantError, Player, Variant
from tests.conformance.scenarios import DELTA, RUNS, SOTW
from tests.prove import Steps

TIMES = 20
FIRST_WAIT_SECONDS = 3.0
"""The longest wait of most scenarios. Who begins within it, evenly spread, does not act when all others
do.
"""


async def play_all(target: Target, variant: Variant, node: str) -> list[str]:
    """Play the runs of one variant, one after the other, and return the failures."""
    failures = []
    async with aio.insecure_channel(target.xds) as xds, aio.insecure_channel(target.adapter) as adapter:
        for run in RUNS:
            if run.variant != variant:
                continue
            player = Player(variant, node, xds, adapter, AsTheHarness())
            try:
                await run.play(player)
            except NonconformantError as failure:
                failures.append(f"{run}: {failure}")
            await player.clear()
            # The harness leaves some of its streams to their deadline; they are a node's old streams
            # meanwhile.
            await player.close()
    return failures


async def play_all_often(times: int) -> list[str]:
    """Play everything so often, side by side, and return the failures."""
    lanes = [
        (variant, f"test-id-{number}-{variant}") for number in range(times) for variant in (*SOTW, *DELTA)
    ]

    async def lane(index: int, variant: Variant, node: str) -> list[str]:
        await asyncio.sleep(FIRST_WAIT_SECONDS * index / len(lanes))
        return await play_all(target, variant, node)

    with running_target() as target:
        async with asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(lane(index, *one)) for index, one in enumerate(lanes)]
    return [failure for one in playing for failure in one.result()]


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Play everything 20 times; no step to resume, for a part is a proof of nothing."""
    failures: list[str] = await steps.step(f"{TIMES} times {len(RUNS)} runs", lambda: play_all_often(TIMES))
    by_run = Counter(failure.partition(":")[0] for failure in failures)
    assert not failures, (
        f"{len(failures)} of {TIMES * len(RUNS)} runs failed: {dict(by_run)}; first: {failures[0]}"
    )
    return {"runs": len(RUNS), "times": TIMES, "played": TIMES * len(RUNS), "failed": 0}
