"""At least 5,000 requests, hand-written and made by chance, hostile ones among them: the Python evaluator and
a real Envoy decide every one alike and count the same, and LuaJIT reads each as Python does. All of it once
where nobody can be asked for owners, and once with a fixed set of claims that `cellplane ext-proc` serves.
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
from tests.envoy.owned import OWNED, owner_of
from tests.envoy.replay import differences, matching_edge, owning_edge
from tests.etcd_server import EtcdServer
from tests.prove import Steps

GENERATED = 10_000
PART = 2_000


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Replay the corpus, a part at a step."""
    rows = [*written(), *match_table.claims(), *generated(GENERATED)]
    assert len(rows) >= 5_000
    twins = LuaTwin(match_table.ruleset()), LuaTwin(match_table.ruleset(), OWNED.get)

    async def lua() -> int:
        return sum(_is_unlike(twin, row) for twin in twins for row in rows)

    wrong = await steps.step("Lua reads as Python does", lua)
    assert wrong == 0, f"{wrong} requests are read otherwise"
    for at in range(0, len(rows), PART):

        async def replay(part: list[match_table.Asked] = rows[at : at + PART]) -> list[str]:
            with tempfile.TemporaryDirectory() as folder:
                async with matching_edge(Path(folder)) as edge:
                    return await differences(edge, part)

        async def with_owners(part: list[match_table.Asked] = rows[at : at + PART]) -> list[str]:
            with tempfile.TemporaryDirectory() as folder:
                etcd = EtcdServer(Path(folder) / "etcd")
                try:
                    await etcd.start()
                    async with owning_edge(Path(folder), etcd.endpoint, "/proof") as edge:
                        return await differences(edge, part, owner_of)
                finally:
                    await etcd.stop()

        found = await steps.step(f"requests from {at}", replay)
        found += await steps.step(f"requests from {at}, with owners", with_owners)
        assert not found, "; ".join(found[:5])
    return {"requests": len(rows), "written": len(list(written())), "claims": len(OWNED), "different": 0}


def _is_unlike(twin: LuaTwin, row: match_table.Asked) -> bool:
    if normalise(row.path) is None:
        return False
    request = Request(method=row.method, path=row.path, authority=row.authority, headers=row.headers)
    return twin.said(request) != twin.expected(request)
