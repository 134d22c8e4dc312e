from __future__ import annotations

import pytest

from envoy.guard import count, shrink
from xds.resource import CLUSTER, Resource
from xds.snapshot import Snapshot


def clusters(count: int) -> Snapshot:
    return Snapshot.of(1, [Resource.of(CLUSTER, f"cell-{each}", b"") for each in range(count)])


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 0), (0, 5), (1, 1), (3, 1), (2, 1), (4, 2), (5, 3), (10, 5), (1000, 500), (4, 8)],
)
def test_growth_and_small_losses_pass(before: int, after: int) -> None:
    assert shrink(before, clusters(after)) is None


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
    hold = shrink(before, clusters(after))
    assert hold is not None
    assert (hold.reason, hold.clusters_before, hold.clusters_after) == (reason, before, after)


def test_whom_envoy_asks_for_owners_is_no_cell() -> None:
    asked = Resource.of(CLUSTER, "ext-proc", b"")
    assert count(Snapshot.of(1, [asked])) == 0
    assert shrink(3, Snapshot.of(1, [asked])) is not None
