"""The 98 runs of the public harness, against the target as it is started for that: one test each."""

from __future__ import annotations

from collections import Counter

import pytest
from grpc import aio

from tests.conformance.conftest import Target
from tests.conformance.pace import NoLongerThanNeeded
from tests.conformance.player import Player
from tests.conformance.scenarios import RUNS, Run

PACE = NoLongerThanNeeded()


@pytest.mark.parametrize("run", RUNS, ids=str)
async def test_run(run: Run, target: Target) -> None:
    async with aio.insecure_channel(target.xds) as xds, aio.insecure_channel(target.adapter) as adapter:
        player = Player(run.variant, str(run), xds, adapter, PACE)
        try:
            await run.play(player)
        finally:
            await player.close()
            await player.clear()


def test_these_are_the_runs_of_the_harness() -> None:
    assert Counter(str(run.variant) for run in RUNS) == {
        "sotw-single": 24,
        "sotw-ads": 26,
        "delta-single": 22,
        "delta-ads": 26,
    }
    assert len({str(run) for run in RUNS}) == 98
