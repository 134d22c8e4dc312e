"""What counts as too much to lose."""

from __future__ import annotations

import pytest

from envoy.edge import EdgeSettings, Lookups
from envoy.guard import Extent, extent, losses
from envoy.rules import DEFAULT_RULESET
from envoy.translate import translate
from tests.cellplane.views import cell
from tests.envoy.edge_rig import NOW, view_of
from topology.model import Endpoint


def told(before: int, after: int, percent: float = 50) -> list[str]:
    return [loss.reason for loss in losses(Extent(clusters=before), Extent(clusters=after), percent)]


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 0), (0, 5), (1, 1), (3, 1), (2, 1), (4, 2), (5, 3), (10, 5), (1000, 500), (4, 8)],
)
def test_growth_and_small_losses_pass(before: int, after: int) -> None:
    assert told(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (4, 1, "more than half of the clusters are gone: 1 are left of 4"),
        (5, 2, "more than half of the clusters are gone: 2 are left of 5"),
        (1000, 499, "more than half of the clusters are gone: 499 are left of 1000"),
        (1, 0, "all clusters are gone; the last good snapshot had 1"),
        (3, 0, "all clusters are gone; the last good snapshot had 3"),
        (4, 0, "all clusters are gone; the last good snapshot had 4"),
    ],
)
def test_the_loss_of_most_is_held(before: int, after: int, reason: str) -> None:
    assert told(before, after) == [reason]


@pytest.mark.parametrize(
    ("percent", "after", "lost"),
    [(10, 90, False), (10, 89, True), (0, 99, True), (100, 1, False), (100, 0, True)],
)
def test_how_much_is_too_much_is_set(percent: float, after: int, lost: bool) -> None:
    assert bool(told(100, after, percent)) == lost


def test_routes_count_by_themselves() -> None:
    found = list(losses(Extent(clusters=3, routes=10), Extent(clusters=3, routes=4), 50))
    assert [(loss.kind, loss.reason) for loss in found] == [
        ("routes", "more than half of the routes are gone: 4 are left of 10")
    ]
    assert not list(losses(Extent(clusters=3), Extent(clusters=3, routes=4), 50)), (
        "they were not counted before"
    )


def test_whom_envoy_asks_for_owners_is_no_cell() -> None:
    settings = EdgeSettings(lookups=Lookups(endpoints=(Endpoint(host="10.0.0.5", port=18010),)))
    found = extent(translate(view_of(cell(1)), DEFAULT_RULESET, settings, NOW, None))
    assert found == Extent(clusters=1, routes=len(DEFAULT_RULESET.rules))
