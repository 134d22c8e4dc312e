"""All that stands behind Envoy is frozen and killed at once; the proof of the same faults does more."""

from __future__ import annotations

from pathlib import Path

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.faults_under_traffic import run


async def test_what_is_remembered_and_what_is_self_evident_notice_nothing(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        found = await run(stage, rate=40, requests=40, fresh=300, alone=False)
    for name, each in found.items():
        assert each["failed"] == each["astray"] == 0, (name, each)
        assert each["by_policy"] > 0, (name, each)
        assert each["requests"] >= 40
