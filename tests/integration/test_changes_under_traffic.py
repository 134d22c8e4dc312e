"""Nothing that an operator does, and no crash of the control plane or of etcd, loses a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.demo.processes import free_port
from cellplane.demo.stage import Ports, Stage
from tests.changes_under_traffic import run


@pytest.mark.timeout(120)
async def test_no_request_is_lost(tmp_path: Path) -> None:
    async with Stage(tmp_path, Ports(edge=free_port())) as stage:
        found = await run(stage, rounds=1)

    assert (0, 0) == (found["lost"], found["wrong_owner"]), found
    assert found["refused_by_quarantine"] > 0, "the quarantine was seen"
    assert found["by_cell"].get("10", 0) > 0, "the added cell took its share"
