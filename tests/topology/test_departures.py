"""Departures that are old enough are forgotten, the oldest first, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from topology import forms
from topology.departures import AT_ONCE, KEPT, plan_forgetting
from topology.model import Departure, Stamp
from topology.store import Compare
from topology.view import View

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def view_of(*ages: timedelta) -> View:
    departed = {
        f"USER/{number}": Departure(
            owner=f"USER/{number}",
            from_cell=1,
            to_cell=2,
            epoch=2,
            stamp=Stamp(updated_by="ada", updated_at=forms.format_utc(NOW - age), reason=""),
        )
        for number, age in enumerate(ages, 1)
    }
    keys = (f"/cellplane/v1/departed/{owner}" for owner in departed)
    return View(departed=departed, mod_revisions=dict.fromkeys(keys, 5))


def test_the_young_are_kept() -> None:
    assert plan_forgetting(view_of(timedelta(), KEPT), NOW) is None


def test_the_old_go_as_they_were_seen() -> None:
    second = timedelta(seconds=1)
    txn = plan_forgetting(view_of(KEPT + second, timedelta(), KEPT + 2 * second), NOW)
    assert txn is not None
    first, other = "/cellplane/v1/departed/USER/3", "/cellplane/v1/departed/USER/1"
    assert (txn.deletes, txn.puts) == ((first, other), ())
    assert txn.compares == (Compare(first, 5), Compare(other, 5))


def test_of_many_the_oldest_go_first() -> None:
    view = view_of(*(KEPT + timedelta(seconds=number) for number in range(1, 300)))
    txn = plan_forgetting(view, NOW)
    assert txn is not None
    assert len(txn.deletes) == AT_ONCE
    assert txn.deletes[0] == "/cellplane/v1/departed/USER/299"
