"""Zones of cells that are evacuated: their share of their cell's traffic falls to zero over a time, and comes
back at once when that is called off.

Kept as documents beside the cells, whose own weights stay what they are. Planning asks here what may be; the
bridge asks what endpoints a cell has at a moment. `etcd Event -> View -> Snapshot -> Response`: what weights
mean.

    /cellplane/v1/zones-drained/2%2Fb     {"seconds": 300}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from topology import forms
from topology.documents import plan_document
from topology.lifecycle import DRAIN_STEPS, next_step
from topology.model import MAX_DRAIN_SECONDS, Cell, Problem, Stamp
from topology.plan import Outcome, Refusal, unknown
from topology.view import View

DRAINED_ZONES: Final = "zones-drained"
MOST_GROWTH: Final = 2
"""So many times what it has now the rest of a cell may be given, unless somebody insists."""


@dataclass(frozen=True, slots=True)
class ZoneDrain:
    """A zone of a cell that is being evacuated, or is."""

    zone: str
    started_at: datetime
    seconds: int

    def step(self, now: datetime) -> int:
        """Say how many steps of its ramp are done."""
        length = timedelta(seconds=self.seconds) / DRAIN_STEPS
        return min(DRAIN_STEPS, max(0, (now - self.started_at) // length)) if length else DRAIN_STEPS

    def next_step(self, now: datetime) -> float | None:
        """Say in how many seconds the next one is; None after the last."""
        done = self.step(now)
        if done == DRAIN_STEPS:
            return None
        due = self.started_at + timedelta(seconds=self.seconds) / DRAIN_STEPS * (done + 1)
        return max(0.0, (due - now) / timedelta(seconds=1))


Drains = Mapping[int, tuple[ZoneDrain, ...]]


def zone_drains(view: View) -> Drains:
    """Read which zones are evacuated, by cell; what is not ours to read is left out."""
    found: dict[int, tuple[ZoneDrain, ...]] = {}
    for (kind, name), document in view.documents.items():
        cell, _, zone = name.partition("/")
        started = forms.parse_utc(document.stamp.updated_at)
        seconds = document.body.get("seconds")
        if kind == DRAINED_ZONES and cell.isdecimal() and zone and started and isinstance(seconds, int):
            found[int(cell)] = (*found.get(int(cell), ()), ZoneDrain(zone, started, seconds))
    return found


def at_moment(cell: Cell, drains: tuple[ZoneDrain, ...], now: datetime) -> Cell:
    """Give the cell with the weights that its endpoints have now; the same cell where no zone of it drains.

    Weights are multiplied, so that also one of 1 falls in steps.
    """
    steps = {drain.zone: DRAIN_STEPS - drain.step(now) for drain in drains}
    if not any(endpoint.zone in steps for endpoint in cell.endpoints):
        return cell
    return replace(
        cell,
        endpoints=tuple(
            replace(each, weight=each.weight * steps.get(each.zone, DRAIN_STEPS)) for each in cell.endpoints
        ),
    )


def next_change(cell: Cell, drains: tuple[ZoneDrain, ...], now: datetime) -> float | None:
    """Say in how many seconds a cell's share, or a zone's of it, changes by itself; None where none does."""
    waits = (next_step(cell, now), *(drain.next_step(now) for drain in drains))
    return min((each for each in waits if each is not None), default=None)


def zone_shares(cell: Cell) -> dict[str, float]:
    """Give each zone's part of its cell's traffic, by the weights of its endpoints."""
    weights: dict[str, int] = {}
    for endpoint in cell.endpoints:
        weights[endpoint.zone] = weights.get(endpoint.zone, 0) + endpoint.weight
    whole = sum(weights.values())
    return {zone: weight / whole if whole else 0.0 for zone, weight in sorted(weights.items())}


def plan_zone(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan the evacuation of a zone, named like 2/b; without a body, its end."""
    cell_id, _, zone = name.partition("/")
    if body is None:
        return plan_document(view, DRAINED_ZONES, name, None, stamp)
    if not cell_id.isdecimal() or not zone:
        return Refusal(problems=(Problem(field="name", message=f"{name!r} is no zone: write CELL/ZONE"),))
    cell = view.cells.get(int(cell_id))
    if cell is None:
        return Refusal(problems=(unknown(view, int(cell_id)),))
    if problems := tuple(_zone_problems(view, cell, zone, body)):
        return Refusal(problems=problems)
    return plan_document(view, DRAINED_ZONES, name, {"seconds": body["seconds"]}, stamp)


def _zone_problems(view: View, cell: Cell, zone: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    seconds = body.get("seconds")
    if not isinstance(seconds, int) or not 0 <= seconds <= MAX_DRAIN_SECONDS:
        yield Problem(field="seconds", message=f"{seconds!r} is none: use 0 to {MAX_DRAIN_SECONDS}")
    shares = zone_shares(cell)
    if zone not in shares:
        message = (
            f"cell {cell.id} has no zone {zone!r}: name one of {', '.join(filter(None, shares)) or 'none'}"
        )
        yield Problem(field="zone", message=message)
        return
    gone = {drain.zone for drain in zone_drains(view).get(cell.id, ())} - {zone}
    left = sum(share for each, share in shares.items() if each != zone and each not in gone)
    now = left + shares[zone] if zone not in gone else left
    if left == 0:
        message = f"nothing of cell {cell.id} would be left: bring another zone back first, or drain the cell"
        yield Problem(field="zone", message=message)
    elif now / left > MOST_GROWTH + 1e-9 and body.get("force") is not True:
        message = (
            f"the rest of cell {cell.id} would get {now / left:.1f} times what it has now, and {MOST_GROWTH} "
            "times is the most that is done unasked: add endpoints there, or force it"
        )
        yield Problem(field="zone", message=message)
