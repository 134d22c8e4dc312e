"""With 50 requests a second through a real Envoy, 10 rounds of: add, weigh, quarantine, drain and remove
cells, kill -9 the control plane, restart etcd. Not one request fails, other than the 503 that a quarantine
asks for, and none meets a wrong owner.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.changes_under_traffic import run
from tests.prove import Steps

ROUNDS = 10


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the rounds; no step to resume, for the traffic is one."""

    async def all_rounds() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with Stage(Path(folder), Ports()) as stage:
                return await run(stage, ROUNDS)

    found: dict[str, Any] = await steps.step(f"{ROUNDS} rounds", all_rounds)
    assert found["lost"] == 0, found
    assert found["wrong_owner"] == 0, found
    assert found["refused_by_quarantine"] > 0, found
    return {"rounds": ROUNDS, **found}
