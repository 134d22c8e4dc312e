"""With 20 real Envoys and 980 more streams, two control planes, 50 requests a second and a Prometheus that
watches: a good change reaches all in stages; a rule that Envoys refuse is stopped at the canary, and nobody
else hears of it; a query above its limit stops one too; the leader is killed in the middle of a wave and
another goes on within 10 s; a cell drains by the command. Not one request fails. Of the rule that was stopped
the fleet, the pushes, the console in a browser, the metric, the alert that fires and its runbook's commands
all tell the same story.
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
    a_watched_change,
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
                    "bad": await a_bad_rule(of, full=True),
                    "watched": await a_watched_change(of),
                    "status": await fleet_status(of),
                    "leader": await a_leader_dies(of),
                    "drain": await a_drain(of, 10),
                }
                return {**found, **lost(of)}

    found: dict[str, Any] = await steps.step("waves", everything)
    assert (found["lost"], found["wrong_owner"]) == (0, 0), found
    assert found["bad"]["told_nothing"] == ENVOYS + STREAMS - 1, found
    assert found["leader"]["resumed_after_seconds"] < 10, found
    assert found["bad"]["alert"] == "firing", found
    assert found["status"]["page_ms"] < 1000, found
    # Wall time is the machine's, which runs 20 Envoys; what the command itself takes is its CPU time.
    assert found["status"]["command_cpu_ms"] < 1000, found
    return found
