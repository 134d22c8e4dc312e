"""What to do about leases that a crash left open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.topology.claims.samples import NOON
from topology.client.reconcile import STALE_AFTER, Action, Commit, Forget, Rollback, actions

FRESH = NOON - STALE_AFTER + timedelta(seconds=1)
STALE = NOON - STALE_AFTER


@pytest.mark.parametrize(
    ("row", "lease", "action"),
    [
        (None, None, ()),
        (FRESH, None, ()),
        (FRESH, FRESH, ()),
        (FRESH, STALE, ()),
        (STALE, FRESH, (Commit("l"),)),
        (STALE, STALE, (Commit("l"),)),
        (STALE, None, (Forget("l"),)),
        (None, STALE, (Rollback("l"),)),
        (None, FRESH, ()),
    ],
)
def test_the_table(row: object, lease: object, action: tuple[Action, ...]) -> None:
    rows = {"l": row} if row else {}
    leases = {"l": lease} if lease else {}
    assert actions(rows, leases, NOON) == action  # type: ignore[arg-type]


def test_the_oldest_comes_first() -> None:
    older = STALE - timedelta(minutes=1)
    rows = {"b": STALE, "a": STALE}
    leases = {"a": STALE, "c": older}
    assert actions(rows, leases, NOON) == (Rollback("c"), Commit("a"), Forget("b"))


def test_what_is_stale_can_be_said() -> None:
    assert actions({}, {"l": FRESH}, NOON, timedelta(seconds=1)) == (Rollback("l"),)


def test_moments_without_a_time_zone_are_told() -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match=r"now: 2026.* has no time zone: give one, such as datetime\.now"):
        actions({}, {}, naive)
    with pytest.raises(ValueError, match=r"l: 2026.* has no time zone"):
        actions({"l": naive}, {}, NOON)
