"""With 200 requests a second, ext-proc, Topology Service, etcd and control plane behind a real Envoy are
killed and frozen, one after another and all at once. No request fails that says itself where it belongs or
whose owner is remembered; a name that nobody asked for yet reaches its owner or follows its policy, and a
frozen ext-proc costs few of them the time to wait.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.faults_under_traffic import run
from tests.prove import Steps

RATE = 200.0
REQUESTS = 600
FRESH = 4000


async def prove(steps: Steps) -> Mapping[str, Any]:
    """Have all faults; no step to resume, for the traffic is one."""

    async def faults() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            async with Stage(Path(folder), Ports()) as stage:
                found = await run(stage, rate=RATE, requests=REQUESTS, fresh=FRESH, alone=True)
                return dict(found)

    found: dict[str, Any] = await steps.step("all faults", faults)
    for name, each in found.items():
        assert each["failed"] == each["astray"] == 0, (name, each)
    frozen = found["ext-proc frozen"]
    assert frozen["by_policy"] > 0, frozen
    assert frozen["waited"] * 4 < frozen["fresh"], f"too many waited for a server that hangs: {frozen}"
    return {"rate": RATE, "faults": found}
