"""View -> Snapshot -> cache for the sidecars: one group for each cell, which is told what has left it.

The control plane hands it each View, beside the edges' publisher. A departure takes nothing away and goes out
at once, whatever is held or tried: a transfer waits for it. Rules are those that the edges have, so they come
in the same wave. A freeze stops it like everything else. It never serves a View that was saved: an old one
would let owners in again that have left (`View -> Snapshot`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from cellplane.latest import Latest
from cellplane.publisher_state import PublisherState
from cellplane.pushes import frozen_of
from cellplane.rules_in_force import RulesInForce
from cellplane.sidecar_groups import group_of
from cellplane.wave_record import is_canary
from envoy.ruleset import Ruleset
from envoy.sidecar import SidecarSettings
from envoy.sidecar_resources import sidecar_snapshot
from topology.departing import Barred, FenceOf
from topology.view import View
from xds.cache import Cache
from xds.nodes import Node
from xds.snapshot import Snapshot

log = logging.getLogger("cellplane.sidecars")


@dataclass(frozen=True, slots=True)
class _Told:
    """What a cell's sidecars were told last, and what that was made of."""

    ruleset: Ruleset
    fence: Mapping[str, Barred]
    snapshot: Snapshot


class _Line:
    """One line of successive rules, and what each cell was told by it."""

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._rules = RulesInForce()
        self.told: dict[int, _Told] = {}

    def ruleset(self, view: View) -> Ruleset | None:
        """Give the rules in force in a View, or the last that could be read."""
        self._rules.read(view)
        return self._rules.ruleset

    def make(
        self, cell_id: int, revision: int, ruleset: Ruleset, fence: Mapping[str, Barred], tag: str
    ) -> Snapshot | None:
        """Make a cell's Snapshot of what changed; None where it is the one that was told last."""
        told = self.told.get(cell_id)
        if told is None or told.ruleset != ruleset or told.fence != fence:
            made = sidecar_snapshot(revision, ruleset, fence, self._settings)
            resources = made.resources
        else:
            resources = told.snapshot.resources
            if (told.snapshot.revision, told.snapshot.tag) == (revision, tag):
                return None
        snapshot = Snapshot(revision, resources, tag=tag)
        self.told[cell_id] = _Told(ruleset, fence, snapshot)
        return snapshot


class SidecarPublisher:
    """Publishes to the groups of all cells. What did not change for a cell keeps its resources.

    `edges` is what the edges were sent; without it a View's own rules go out with it.
    """

    def __init__(self, cache: Cache, settings: SidecarSettings, edges: PublisherState | None = None) -> None:
        self._cache = cache
        self._edges = edges
        self._everyone, self._tried = _Line(settings), _Line(settings)
        self._fence_of = FenceOf()
        self._staged: set[int] = set()
        self._bound: tuple[str, int] | None = None

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
        """Publish a View to the sidecars of every cell, with the rules that the edges have."""
        rules_of = view if self._edges is None else self._edges.published
        if rules_of is None or view.stale or frozen_of(view) is not None:
            return
        ruleset = self._everyone.ruleset(rules_of)
        if ruleset is None:
            return
        standing = self._edges.standing if self._edges is not None else None
        good = standing.split.wave.good if standing is not None else ""
        fence = self._fence_of(view)
        for cell_id in view.cells:
            made = self._everyone.make(cell_id, view.revision, ruleset, fence.of_cell(cell_id), good)
            if made is not None:
                self._cache.publish(group_of(cell_id), made)  # it refers to nothing that it does not hold
        self._stage(view, ruleset)

    def _stage(self, view: View, ruleset: Ruleset) -> None:
        """Let the sidecars of a wave have the rules that it tries, and the others what all have."""
        standing = self._edges.standing if self._edges is not None else None
        staged = self._edges.staged if self._edges is not None else None
        tried = self._tried.ruleset(staged) if staged is not None else None
        if standing is None or tried is None or tried == ruleset:
            for cell_id in self._staged:
                self._cache.unstage(group_of(cell_id))
            self._staged.clear()
            self._tried.told.clear()
            return
        wave, fence = standing.split.wave, self._fence_of(view)
        is_wider, self._bound = self._bound != (wave.id, wave.sidecar_bound), (wave.id, wave.sidecar_bound)

        def takes(node: Node) -> bool:
            return wave.takes(node.id, is_canary(node), sidecar=True)

        for cell_id in view.cells:
            made = self._tried.make(cell_id, view.revision, tried, fence.of_cell(cell_id), wave.id)
            if made is not None or is_wider:
                self._cache.stage(group_of(cell_id), self._tried.told[cell_id].snapshot, takes)
                self._staged.add(cell_id)
