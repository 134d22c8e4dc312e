"""The tour's step about claims: a cell claims a path, requests are sent there, nobody else can have it.

The tour hands it the stage and the story.
"""

from __future__ import annotations

import asyncio

from cellplane.demo.say import Story
from cellplane.demo.stage import Stage
from cellplane.demo.topology_client import TopologyClient

_PATH = "initech"
_SECONDS = 5.0


async def claim_a_path(stage: Stage, story: Story) -> None:
    """Claim a path for cell 2, look where it leads, and try to claim it for cell 3."""
    story.step("Cell 2 claims a path; nobody else can have it")
    story.did(f"cellplane claims create --cell 2 ROUTES {_PATH}")
    refused = await stage.topology.claim(2, _PATH)
    story.check(not refused, "the claim is cell 2's", refused)
    where, stub = await _routed(stage.topology), stage.cells[2]
    story.check(
        where == f"{stub.host}:{stub.port}", f"who asks for /{_PATH} is sent to {where}, where cell 2 answers"
    )
    story.did(f"cellplane claims create --cell 3 ROUTES {_PATH}")
    refused = await stage.topology.claim(3, _PATH)
    story.check("cell 2" in refused, f"refused: {refused}", "cell 3 took it")


async def _routed(topology: TopologyClient) -> str:
    """Ask until the claim that was just committed has reached the service's memory."""
    async with asyncio.timeout(_SECONDS):
        while True:
            if where := await topology.classify(_PATH):
                return where
            await asyncio.sleep(0.01)
