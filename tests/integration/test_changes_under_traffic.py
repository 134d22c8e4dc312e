"""Nothing that an operator does, and no crash of the control plane or of etcd, loses a request."""

from __future__ import annotations

from pathlib import Path

from cellplane.demo.ports import Ports
from cellplane.demo.stage import Stage
from tests.changes_under_traffic import run


async def test_no_request_is_lost(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports()) as stage:
        found = await run(stage, rounds=1)

    assert (found["lost"], found["wrong_owner"]) == (0, 0), found
    assert found["refused_by_quarantine"] > 0, "the quarantine was seen"
    assert found["by_cell"].get("10", 0) > 0, "the added cell took its share"
