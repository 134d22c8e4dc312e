"""A rule that real Envoys refuse reaches the canary alone, and everything tells the same story."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.waves_under_traffic import a_bad_rule, fleet, lost


@pytest.mark.timeout(240)
@pytest.mark.tools("prometheus")
async def test_a_bad_rule_is_stopped_at_the_canary_and_no_request_is_lost(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2, 8, ("canary:0s", "50%:0s"), replicas=1) as of:
        found = await a_bad_rule(of, full=False)
        assert (found["told_nothing"], found["of"]) == (9, 10), found
        traffic = lost(of)
    assert (traffic["lost"], traffic["wrong_owner"]) == (0, 0), traffic
