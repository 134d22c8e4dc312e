"""Whoever leads the moves is killed in a step: the next goes on, and no step is done twice. Small."""

from __future__ import annotations

from pathlib import Path

from tests.etcd_server import EtcdServer
from tests.moves_under_kill import run
from topology.moves.model import Step


async def test_a_killed_leader_is_followed_and_no_step_is_done_twice(
    etcd: EtcdServer, etcd_prefix: str, tmp_path: Path
) -> None:
    found = await run(etcd.endpoint, etcd_prefix, tmp_path, [Step.TRANSFER, Step.RETURN_PROPAGATE])
    assert found["kills"] == 2
    assert 0 < found["slowest_resumed"] < 10
