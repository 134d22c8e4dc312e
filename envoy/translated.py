"""One cell translated: its cluster, its endpoints with the weights of the moment, its names; as before where
nothing changed.

`translate` hands in the cells that came, changed, or change with time. `View -> Snapshot`: a cell's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from envoy.clusters import cluster, is_resolved_by_envoy
from envoy.edge import EdgeSettings
from envoy.endpoints import endpoints
from envoy.standing import Standing, standing
from envoy.tls_names import Named, tls_names
from topology.model import Cell
from topology.zones import ZoneDrain, at_moment, next_change
from xds.resource import Resource


@dataclass(frozen=True, slots=True)
class Translated:
    """A cell and what it became. `shown` is the cell with the weights that its endpoints have at this moment,
    `names` are for TLS that is handed on unread.
    """

    cell: Cell
    shown: Cell
    standing: Standing
    cluster: Resource | None
    endpoints: Resource | None
    names: tuple[Named, ...]
    next_change_seconds: float | None


def translated(
    cell: Cell,
    drains: tuple[ZoneDrain, ...],
    settings: EdgeSettings,
    now: datetime,
    before: Translated | None,
    *,
    passed: bool = False,
) -> Translated:
    """Translate a cell for a moment; `before` is what it was, `passed` that an operator passes it over."""
    stands = standing(cell, now, passed=passed)
    soonest = next_change(cell, drains, now)
    if before is not None and stands == before.standing:
        stands = before.standing
    shown = at_moment(cell, drains, now)
    if before is not None and before.cell is cell and before.shown == shown:
        made, by_eds, names = before.cluster, before.endpoints, before.names
        return Translated(cell, shown, stands, made, by_eds, names, soonest)
    made = by_eds = None
    if stands.has_cluster:
        made = cluster(shown, settings)
        by_eds = None if is_resolved_by_envoy(shown) else endpoints(shown)
    if before is not None:
        made, by_eds = unchanged(made, before.cluster), unchanged(by_eds, before.endpoints)
    names = tls_names(shown, stands, settings)
    if before is not None and names == before.names:
        names = before.names
    return Translated(cell, shown, stands, made, by_eds, names, soonest)


def unchanged(new: Resource | None, old: Resource | None) -> Resource | None:
    """Give the object that was there where the new one is equal."""
    return old if new is not None and old is not None and new == old else new
