"""1,000 streams connect to the xDS server at once, and again; then 100 clients ask and read nothing.

All 1,000 are in sync within 30 s. What the 100 cost in memory is bounded, they are let go after the write
timeout, and the streams that read get each change meanwhile as fast as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tests.prove import Steps
from tests.xds_storm import Size, storm

SIZE = Size(clusters=1000, healthy=100, streams=1000, stalled=100, pushes=15, write_timeout_seconds=20.0)
MOST_MB_OF_A_STALLED = 1.0


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run the storm."""

    async def run() -> dict[str, Any]:
        return await asyncio.to_thread(storm, SIZE)

    found: dict[str, Any] = await steps.step("storm", run)
    assert found["synced_seconds"] < 30.0, found
    assert found["stalled_rss_mb_more"] < MOST_MB_OF_A_STALLED * SIZE.stalled, found
    assert found["stalled_p99_ms"] < 3 * found["quiet_p99_ms"] + 50.0, found
    assert found["healthy_broken"] == [], found
    return found
