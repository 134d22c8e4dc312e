"""A million odd and damaged requests at the wire edge of the xDS server and behind it; 5,000 over gRPC.

No crash: each is read and served, or ends its stream with a status that says whose fault it was. What is read
with the shared table of names is what is read without. No leak: memory after all of them is what it was after
the first tenth.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.prove import Steps
from tests.xds.configuration import both, snapshot
from tests.xds_fuzz import KNOWN, Edge, live, requests

TENTHS = 10
REQUESTS = 100_000
LIVE = 5000
FINE = {"served", "responses", "OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
ALL = snapshot(1, both(*KNOWN))


def rss_mb() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() // 1_000_000


def tenth(edge: Edge, seed: int) -> dict[str, Any]:
    """Read a tenth of the requests."""
    before = edge.outcomes.copy()
    for delta, data in requests(seed, REQUESTS):
        edge.take(delta, data)
    return {"outcomes": dict(edge.outcomes - before), "rss_mb": rss_mb()}


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Run all of them, then a sample against a server."""
    logging.getLogger("xds").setLevel(logging.CRITICAL)
    edge = Edge(ALL)
    total: Counter[str] = Counter()
    memory = []
    for number in range(TENTHS):

        async def run(seed: int = number) -> dict[str, Any]:
            return await asyncio.to_thread(tenth, edge, seed)

        found = await steps.step(f"tenth {number}", run)
        total.update(found["outcomes"])
        memory.append(found["rss_mb"])

    async def sample() -> dict[str, int]:
        return dict(await live(ALL, seed=TENTHS, count=LIVE))

    statuses: dict[str, int] = await steps.step("over gRPC", sample)
    assert total.keys() | statuses.keys() <= FINE, (total, statuses)
    assert total.total() - total["responses"] == TENTHS * REQUESTS, total
    assert sum(statuses.values()) == LIVE, statuses
    assert memory[-1] <= memory[0] + 20, memory
    return {"requests": TENTHS * REQUESTS, "outcomes": dict(total), "over_grpc": statuses, "rss_mb": memory}
