"""How long the fleet is told of owners that left: departures that are old enough are forgotten.

Whoever writes new ones asks for the plan, so that they never become more than some weeks bring. Third road:
plans the `Txn`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from topology import forms
from topology.departing import orphans
from topology.plan import as_seen
from topology.store import Txn
from topology.view import View

KEPT: Final = timedelta(days=30)
"""Longer than anybody may remember where an owner was, a replica with a saved View included."""
AT_ONCE: Final = 100  # more than a transfer adds


def plan_forgetting(view: View, now: datetime) -> Txn | None:
    """Plan the end of old departures, the oldest first, then of their names; None where all are young."""
    aged = []
    for owner, departure in view.departed.items():
        moment = forms.parse_utc(departure.at)
        if moment is not None and now - moment > KEPT:
            aged.append((moment, view.keyspace.departure(owner)))
    keys = tuple(key for _, key in sorted(aged)[:AT_ONCE]) or tuple(orphans(view, AT_ONCE))
    return Txn(compares=tuple(as_seen(view, key) for key in keys), deletes=keys) if keys else None
