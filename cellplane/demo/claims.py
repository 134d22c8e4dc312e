"""The tour's step about claims: a cell claims a path, requests go there, nobody else can have it.

The tour hands it the stage and the story.
"""

from __future__ import annotations

import asyncio

import aiohttp

from cellplane.demo.say import Story
from cellplane.demo.stage import Stage
from cellplane.demo.topology_client import TopologyClient
from cellplane.demo.traffic import Answer, Ask, ask

_PATH = "initech"
OWNER = "ORGANIZATION/42"
CLAIMED = Ask(kind="claimed path", path=f"/{_PATH}/project", owner=2)
_SECONDS = 5.0
_ASKED = "cluster.ext-proc.upstream_rq_total"


async def claim_a_path(stage: Stage, story: Story) -> None:
    """Claim a path for cell 2, look where it leads, and try to claim it for cell 3."""
    story.step("Cell 2 claims a path; nobody else can have it")
    story.did(f"cellplane claims create --cell 2 ROUTES {_PATH} --subject {OWNER}")
    refused = await stage.topology.claim(2, _PATH)
    story.check(not refused, "the claim is cell 2's", refused)
    where, stub = await _routed(stage.topology), stage.cells[2]
    story.check(where == f"{stub.host}:{stub.port}", f"the Topology Service sends /{_PATH} to {where}")
    answer = await _led_there(stage)
    story.check(
        answer.cell == 2, f"Envoy asks ext-proc, and /{_PATH} lands on cell {answer.cell}", f"{answer}"
    )
    asked = await stage.envoy_stat(_ASKED)
    async with aiohttp.ClientSession() as session:
        again = [await ask(session, stage.edge_url, CLAIMED) for _ in range(20)]
    more = await stage.envoy_stat(_ASKED) - asked
    story.check(
        all(each.cell == 2 for each in again) and more == 0,
        f"{len(again)} more requests land there, from memory: ext-proc was asked {more} times",
    )
    story.did(f"cellplane claims create --cell 3 ROUTES {_PATH}")
    refused = await stage.topology.claim(3, _PATH)
    story.check("cell 2" in refused, f"refused: {refused}", "cell 3 took it")


async def _led_there(stage: Stage) -> Answer:
    """Ask the edge until the claim has reached ext-proc, and "nobody" is no longer remembered."""
    async with asyncio.timeout(_SECONDS), aiohttp.ClientSession() as session:
        while True:
            answer = await ask(session, stage.edge_url, CLAIMED)
            if answer.rule == "claim":
                return answer
            await asyncio.sleep(0.05)


async def _routed(topology: TopologyClient) -> str:
    """Ask until the claim that was just committed has reached the service's memory."""
    async with asyncio.timeout(_SECONDS):
        while True:
            if where := await topology.classify(_PATH):
                return where
            await asyncio.sleep(0.01)
