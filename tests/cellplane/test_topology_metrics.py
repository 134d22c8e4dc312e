"""Metrics of the Topology Service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cellplane.topology_metrics import TopologyCollector
from tests.processes import eventually
from tests.topology.claims.samples import LEASE_1, LEASE_2, NOON, lease, record
from tests.topology.moves.rig import rigged
from tests.topology.service.stage import Stage, playing
from topology.claims.model import Phase
from topology.claims.store import Changes, Odd
from topology.keys import Keyspace
from topology.leader import Campaign, Leadership
from topology.memory import MemoryStore
from topology.moves.book import MoveBook
from topology.moves.hooks import No
from topology.moves.model import Order, Step
from topology.moves.runner import ROLE, MoveRunner
from topology.moves.works import Works


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/s"), follow=False) as stage:
        yield stage


def idle() -> MoveRunner:
    """Give what carries moves on, and was not elected."""
    store, keyspace = MemoryStore(), Keyspace("/s")

    def never(_: Leadership) -> Works:
        raise AssertionError("nobody leads")

    return MoveRunner(Campaign(store, keyspace, ROLE, "x"), store, MoveBook(store, keyspace), never)


def collector(stage: Stage, moves: MoveRunner, **how: Any) -> TopologyCollector:
    return TopologyCollector(stage.server, stage.follower, stage.watcher.state, moves, **how)


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
    registry.register(collector(stage, idle(), clock=lambda: now))

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
    registry.register(collector(stage, idle()))
    assert registry.get_sample_value("cellplane_topology_oldest_lease_seconds") == 0
    assert registry.get_sample_value("cellplane_topology_moves_led") == 0
    assert registry.get_sample_value("cellplane_topology_move_oldest_step_seconds") == 0


async def test_the_leader_tells_of_moves_and_who_waits_for_a_person(stage: Stage) -> None:
    async with rigged() as rig:
        rig.hooks.answers[Step.PREPARE] = [No("versions differ")]
        rig.joins("first")
        since = (await rig.begin()).move.since
        (runner,) = rig.runners
        registry, now = CollectorRegistry(), datetime.fromisoformat(since).timestamp() + 90
        registry.register(collector(stage, runner, clock=lambda: now))

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"cellplane_topology_{name}", labels)

        async def told() -> bool:
            return value("moves_blocked") == 1

        await eventually(told, "a move that waits for a person")
        assert (value("moves_led"), value("moves", step="PREPARE"), value("moves", step="TEST")) == (1, 1, 0)
        assert value("move_oldest_step_seconds") == pytest.approx(90)
        assert value("move_faults_total") == 0
        await rig.say(Order.ABORT)
        await rig.at(Step.ABORTED)

        async def over() -> bool:
            return (value("moves", step="PREPARE"), value("moves_blocked")) == (0, 0)

        await eventually(over, "the end of it")
