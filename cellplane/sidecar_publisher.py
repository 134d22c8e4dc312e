"""View -> Snapshot -> cache for the sidecars: one group for each cell, which is told what has left it.

The control plane hands it each View, beside the edges' publisher. Nothing is held here, for a departure takes
nothing away; a freeze stops it like everything else. It never serves a View that was saved: an old one would
let owners in again that have left (`View -> Snapshot`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cellplane.latest import Latest
from cellplane.pushes import frozen_of
from cellplane.rules_in_force import RulesInForce
from envoy.ruleset import Ruleset
from envoy.sidecar import SidecarSettings
from envoy.sidecar_resources import sidecar_snapshot
from topology.departing import Barred, FenceOf
from topology.view import View
from xds.cache import Cache
from xds.snapshot import Snapshot

log = logging.getLogger("cellplane.sidecars")

PREFIX = "sidecar/"


def group_of(cell_id: int | str) -> str:
    """Name the group of a cell's sidecars."""
    return f"{PREFIX}{cell_id}"


class SidecarPublisher:
    """Publishes to the groups of all cells. What did not change for a cell keeps its resources."""

    def __init__(self, cache: Cache, settings: SidecarSettings) -> None:
        self._cache = cache
        self._settings = settings
        self._rules = RulesInForce()
        self._fence_of = FenceOf()
        self._told: dict[int, tuple[Ruleset, Mapping[str, Barred], Snapshot]] = {}

    async def run(self, views: Latest[View]) -> None:
        """Publish each View as it comes, until cancelled."""
        while True:
            view = await views.next()
            if view is not None:
                try:
                    self.offer(view)
                except Exception:  # what sidecars have stands, and the next View is tried
                    log.exception("publish_failed revision=%d", view.revision)

    def offer(self, view: View) -> None:
        """Publish a View to the sidecars of every cell."""
        self._rules.read(view)
        ruleset = self._rules.ruleset
        if ruleset is None or view.stale or frozen_of(view) is not None:
            return
        fence = self._fence_of(view)
        for cell_id in view.cells:
            names = fence.of_cell(cell_id)
            told = self._told.get(cell_id)
            if told is None or told[0] != ruleset or told[1] != names:
                snapshot = sidecar_snapshot(view.revision, ruleset, names, self._settings)
            else:
                snapshot = Snapshot(view.revision, told[2].resources)
            self._cache.publish(group_of(cell_id), snapshot)  # it refers to nothing that it does not hold
            self._told[cell_id] = (ruleset, names, snapshot)
