"""With 20 real Envoys and 980 more streams, two control planes and 50 requests a second: a good change
reaches all in stages; a rule that Envoys refuse is stopped at the canary, and nobody else hears of it; the
leader is killed in the middle of a wave and another goes on within 10 s; a cell drains. Not one request
fails, and the fleet, the pushes and the metrics tell the same story.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.prove import Steps
from tests.waves_under_traffic import (
    a_bad_rule,
    a_drain,
    a_good_change,
    a_leader_dies,
    fleet,
    fleet_status,
    lost,
)

ENVOYS, STREAMS = 20, 980
STAGES = ("canary:2s", "1%:2s", "10%:2s", "50%:2s")


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Do all of it; no step to resume, for the traffic is one."""

    async def everything() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with fleet(Path(folder), ENVOYS, STREAMS, STAGES) as of:
                found = {
                    "good": await a_good_change(of),
                    "bad": await a_bad_rule(of),
                    "status": await fleet_status(of),
                    "leader": await a_leader_dies(of),
                    "drain": await a_drain(of, 10),
                }
                return {**found, **lost(of)}

    found: dict[str, Any] = await steps.step("waves", everything)
    assert (found["lost"], found["wrong_owner"]) == (0, 0), found
    assert found["bad"]["told_nothing"] == ENVOYS + STREAMS - 1, found
    assert found["leader"]["resumed_after_seconds"] < 10, found
    assert found["status"]["page_ms"] < 1000, found
    return found
