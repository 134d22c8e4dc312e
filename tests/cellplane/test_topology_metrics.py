"""Metrics of the Topology Service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from cellplane.topology_metrics import TopologyCollector
from tests.topology.claims.samples import LEASE_1, LEASE_2, NOON, lease, record
from tests.topology.service.stage import Stage, playing
from topology.claims.model import Phase
from topology.claims.store import Changes, Odd
from topology.keys import Keyspace
from topology.memory import MemoryStore


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/s"), follow=False) as stage:
        yield stage


async def test_every_number_is_there(stage: Stage) -> None:
    stage.follower.index.load(
        Changes(
            9,
            (
                record("a"),
                record("b"),
                lease(LEASE_1, created_at=NOON),
                lease(LEASE_2, phase=Phase.COMMITTING),
                Odd("/x", "no JSON", "/x"),
            ),
        )
    )
    stage.server.counts.calls["/s/M", "OK"] = 3
    stage.server.counts.took("/s/M", 0.004)
    stage.server.counts.refused["/s/M", "cell"] = 2
    stage.server.classify.decisions["ByClaims", "routed"] = 5
    stage.follower.state.connected = True
    stage.follower.state.revision = 9
    now = (NOON + timedelta(minutes=5)).timestamp()
    registry = CollectorRegistry()
    registry.register(TopologyCollector(stage.server, stage.follower, stage.watcher.state, clock=lambda: now))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"cellplane_topology_{name}", labels)

    assert value("calls_total", method="/s/M", code="OK") == 3
    assert value("calls_refused_total", method="/s/M", role="cell") == 2
    assert value("classify_decisions_total", kind="ByClaims", outcome="routed") == 5
    assert value("claims") == 2
    assert value("leases") == 2
    assert value("leases_unfinished") == 1
    assert value("oldest_lease_seconds") == 300
    assert [value("leases_by_age", age=age) for age in ("0s", "1m", "10m", "1d")] == [1, 1, 0, 0]
    assert value("call_seconds_bucket", method="/s/M", le="0.005") == 1
    assert value("call_seconds_sum", method="/s/M") == 0.004
    assert value("claims_unreadable") == 1
    assert value("watches") == 0
    assert (value("claims_connected"), value("cells_connected")) == (1, 0)
    assert value("claims_revision") == 9
    assert value("claims_relists_total") == 0


async def test_no_lease_has_no_age(stage: Stage) -> None:
    registry = CollectorRegistry()
    registry.register(TopologyCollector(stage.server, stage.follower, stage.watcher.state))
    assert registry.get_sample_value("cellplane_topology_oldest_lease_seconds") == 0
