"""A small storm: who comes back at once is served, who stops reading costs little and is let go."""

from __future__ import annotations

import asyncio

from tests.xds_storm import Size, storm


async def test_a_storm_passes_and_who_reads_notices_little() -> None:
    size = Size(clusters=300, healthy=10, streams=50, stalled=10, pushes=2, write_timeout_seconds=3.0)
    found = await asyncio.to_thread(storm, size)
    assert found["healthy_broken"] == []
    assert found["synced_seconds"] < 20.0
    assert found["stalled_rss_mb_more"] < 30
    assert found["let_go_seconds"] < 20.0
