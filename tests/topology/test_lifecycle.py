from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.topology.samples import cell
from topology import lifecycle
from topology.lifecycle import Guard
from topology.model import Cell, CellState, Drain

START = datetime(2026, 3, 1, 12, tzinfo=UTC)

MOVES = {
    "PROVISIONING": ["CANARY"],
    "CANARY": ["ACTIVE", "CORDONED", "DRAINING", "QUARANTINED"],
    "ACTIVE": ["CORDONED", "DRAINING", "QUARANTINED"],
    "CORDONED": ["ACTIVE", "DRAINING", "QUARANTINED"],
    "DRAINING": ["ACTIVE", "CORDONED", "DRAINED", "QUARANTINED"],
    "DRAINED": ["DECOMMISSIONED", "CANARY", "PROVISIONING"],
    "DECOMMISSIONED": [],
    "QUARANTINED": ["CANARY", "ACTIVE", "CORDONED", "DRAINING"],
}


def draining(weight: int = 100, seconds: int = 100) -> Cell:
    drain = Drain(started_at="2026-03-01T12:00:00Z", seconds=seconds)
    return cell(1, CellState.DRAINING, weight=weight, drain=drain)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize("state", CellState)
def test_where_a_state_leads(state: CellState) -> None:
    assert list(lifecycle.allowed_moves(state)) == MOVES[state]


def test_every_pair_of_states_is_allowed_or_not_and_listed_once() -> None:
    listed = [(move.source, move.target) for move in lifecycle.TRANSITIONS]
    assert len(listed) == len(set(listed)) == sum(len(targets) for targets in MOVES.values())
    for source in CellState:
        for target in CellState:
            found = lifecycle.transition(source, target)
            assert (found is not None) is (target in MOVES[source])
            assert found is None or (found.source, found.target) == (source, target)
            assert found is None or (found.routing and found.placement)


@pytest.mark.parametrize(
    ("previous", "allowed"),
    [
        ("CANARY", ["CANARY", "DRAINING"]),
        ("ACTIVE", ["ACTIVE", "DRAINING"]),
        ("CORDONED", ["CORDONED", "DRAINING"]),
        ("DRAINING", ["DRAINING"]),
    ],
)
def test_a_quarantine_ends_where_it_began_or_in_a_drain(previous: str, allowed: list[str]) -> None:
    assert list(lifecycle.allowed_moves(CellState.QUARANTINED, CellState(previous))) == allowed


def test_guards() -> None:
    guarded = {(move.source, move.target): move.guards for move in lifecycle.TRANSITIONS if move.guards}
    alone = (Guard.OTHERS_TAKE_UNOWNED,)
    assert guarded == {
        ("CANARY", "CORDONED"): alone,
        ("CANARY", "DRAINING"): alone,
        ("ACTIVE", "CORDONED"): alone,
        ("ACTIVE", "DRAINING"): alone,
        ("DRAINING", "DRAINED"): (Guard.RAMP_OVER, Guard.OTHERS_SERVE),
    }


@pytest.mark.parametrize(
    ("state", "serves", "unowned", "newcomers", "override"),
    [
        ("PROVISIONING", False, False, False, True),
        ("CANARY", True, True, True, True),
        ("ACTIVE", True, True, True, True),
        ("CORDONED", True, False, False, True),
        ("DRAINING", True, True, False, True),
        ("DRAINED", False, False, False, False),
        ("DECOMMISSIONED", False, False, False, False),
        ("QUARANTINED", False, False, False, False),
    ],
)
def test_what_a_state_means(state: str, serves: bool, unowned: bool, newcomers: bool, override: bool) -> None:
    at = CellState(state)
    assert lifecycle.serves(at) is serves
    assert lifecycle.accepts_unowned(at) is unowned
    assert lifecycle.accepts_newcomers(at) is newcomers
    assert lifecycle.reachable_by_override(at) is override


@pytest.mark.parametrize(
    ("state", "road"),
    [
        ("PROVISIONING", []),
        ("CANARY", ["DRAINING", "DRAINED", "DECOMMISSIONED"]),
        ("ACTIVE", ["DRAINING", "DRAINED", "DECOMMISSIONED"]),
        ("CORDONED", ["DRAINING", "DRAINED", "DECOMMISSIONED"]),
        ("DRAINING", ["DRAINED", "DECOMMISSIONED"]),
        ("DRAINED", ["DECOMMISSIONED"]),
        ("DECOMMISSIONED", []),
        ("QUARANTINED", ["DRAINING", "DRAINED", "DECOMMISSIONED"]),
    ],
)
def test_the_road_to_removal(state: str, road: list[str]) -> None:
    assert list(lifecycle.road(cell(1, CellState(state)), lifecycle.REMOVABLE)) == road


def test_there_is_no_road_out_of_decommissioned() -> None:
    assert lifecycle.road(cell(1, CellState.DECOMMISSIONED), frozenset({CellState.ACTIVE})) == ()


@pytest.mark.parametrize(
    ("state", "weight"),
    [
        ("CANARY", 70),
        ("ACTIVE", 70),
        ("PROVISIONING", 0),
        ("CORDONED", 0),
        ("DRAINED", 0),
        ("QUARANTINED", 0),
    ],
)
def test_the_unowned_weight_of_a_steady_state(state: str, weight: int) -> None:
    steady = cell(1, CellState(state), weight=70)
    assert lifecycle.unowned_weight(steady, START) == weight
    assert lifecycle.next_step(steady, START) is None


@pytest.mark.parametrize(
    ("seconds", "weight", "next_step"),
    [
        (-5, 100, 15),
        (0, 100, 10),
        (9.5, 100, 0.5),
        (10, 90, 10),
        (19.999999, 90, 0.000001),
        (20, 80, 10),
        (55, 50, 5),
        (90, 10, 10),
        (99, 10, 1),
        (100, 0, None),
        (5000, 0, None),
    ],
)
def test_a_drain_falls_in_ten_steps(seconds: float, weight: int, next_step: float | None) -> None:
    assert lifecycle.unowned_weight(draining(), after(seconds)) == weight
    assert lifecycle.next_step(draining(), after(seconds)) == pytest.approx(next_step)


@pytest.mark.parametrize(
    ("weight", "seen"), [(1, [1] * 10 + [0]), (3, [3, 3, 3, 3, 2, 2, 2, 1, 1, 1, 0]), (0, [0] * 11)]
)
def test_a_small_weight_is_rounded_up_until_the_end(weight: int, seen: list[int]) -> None:
    small = draining(weight=weight)
    assert [lifecycle.unowned_weight(small, after(10 * step)) for step in range(11)] == seen


def test_the_next_step_is_the_next_change() -> None:
    assert lifecycle.next_step(draining(weight=1), START) == 100
    assert lifecycle.next_step(draining(weight=3), START) == 40
    assert lifecycle.next_step(draining(weight=0), START) is None


@pytest.mark.parametrize("seconds", [1, 3, 7, 999])
@pytest.mark.parametrize("weight", [1, 7, 100])
def test_following_the_steps_meets_every_change_and_ends(weight: int, seconds: int) -> None:
    ramp, now, weights = draining(weight=weight, seconds=seconds), START, [weight]
    while (wait := lifecycle.next_step(ramp, now)) is not None:
        assert wait > 0
        now += timedelta(seconds=wait)
        weights.append(lifecycle.unowned_weight(ramp, now))
    assert weights == sorted(set(weights), reverse=True)
    assert weights[-1] == 0
    assert len(weights) == min(weight, 10) + 1
    assert now - START == timedelta(seconds=seconds)


def test_a_drain_over_no_time_is_over_at_once() -> None:
    assert lifecycle.unowned_weight(draining(seconds=0), START) == 0
    assert lifecycle.next_step(draining(seconds=0), START) is None


@pytest.mark.parametrize(("seconds", "left"), [(0, 100), (30, 70), (100, 0), (200, 0)])
def test_what_is_left_of_a_ramp(seconds: float, left: float) -> None:
    assert lifecycle.ramp_left(draining(), after(seconds)) == left
    assert lifecycle.ramp_left(cell(1), after(seconds)) == 0


def test_a_record_that_no_view_lets_in_is_refused_loudly() -> None:
    with pytest.raises(AssertionError, match="without a drain"):
        lifecycle.unowned_weight(cell(1, CellState.DRAINING, drain=None), START)
    bad = cell(1, CellState.DRAINING, drain=Drain(started_at="soon", seconds=10))
    with pytest.raises(AssertionError, match="no known time"):
        lifecycle.unowned_weight(bad, START)
