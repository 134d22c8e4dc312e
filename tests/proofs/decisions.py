"""At least 5,000 requests, hand-written and made by chance, hostile ones among them: the Python evaluator and
a real Envoy decide every one alike and count the same, and LuaJIT reads each as Python does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envoy.paths import normalise
from envoy.request import Request
from tests.envoy import match_table
from tests.envoy.corpus import generated, written
from tests.envoy.lua_twin import LuaTwin
from tests.envoy.replay import differences, matching_edge
from tests.prove import Steps

GENERATED = 10_000
PART = 2_000


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Replay the corpus, a part at a step."""
    rows = [*written(), *generated(GENERATED)]
    assert len(rows) >= 5_000
    twin = LuaTwin(match_table.ruleset())

    async def lua() -> int:
        unlike = 0
        for row in rows:
            if normalise(row.path) is not None:
                request = Request(
                    method=row.method, path=row.path, authority=row.authority, headers=row.headers
                )
                unlike += twin.said(request) != twin.expected(request)
        return unlike

    wrong = await steps.step("Lua reads as Python does", lua)
    assert wrong == 0, f"{wrong} requests are read otherwise"
    for at in range(0, len(rows), PART):

        async def replay(part: list[match_table.Asked] = rows[at : at + PART]) -> list[str]:
            with tempfile.TemporaryDirectory() as folder:
                async with matching_edge(Path(folder)) as edge:
                    return await differences(edge, part)

        found = await steps.step(f"requests from {at}", replay)
        assert not found, "; ".join(found[:5])
    return {"requests": len(rows), "written": len(list(written())), "different": 0}
