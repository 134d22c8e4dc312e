"""Whether a Snapshot may go out by itself: it may not where too many clusters are lost, or where an Envoy
refuses it, until somebody released it.

The publisher asks before each push. It remembers how many clusters the last good Snapshot had, here or at
whichever replica published last. It sends and writes nothing (`View -> Snapshot`, the last look).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from cellplane.push_record import digest_of
from cellplane.pushes import EDGE, GOOD, HeldPush, good_clusters, is_released, push_id
from envoy.guard import count, shrink
from topology.view import View
from xds.resource import CLUSTER
from xds.snapshot import Snapshot

log = logging.getLogger("cellplane.push_guard")


class PushGuard:
    """The guard of the group of edge proxies. `saved_clusters` counts those of the saved View, if there is
    one.
    """

    def __init__(
        self,
        saved_clusters: Callable[[], int | None],
        wall_clock: Callable[[], datetime],
        verdict: Callable[[Snapshot], str | None] = lambda _: "",
    ) -> None:
        self.good_clusters: int | None = None
        self.holds = 0
        self.released: HeldPush | None = None
        """What was let through at the last look, on an operator's word."""
        self._saved_clusters = saved_clusters
        self._wall_clock = wall_clock
        self._verdict = verdict
        self._good_revision = 0

    def note_good(self, snapshot: Snapshot) -> None:
        """Remember what went out."""
        self.good_clusters = count(snapshot)

    def held(self, view: View, snapshot: Snapshot, before: HeldPush | None) -> HeldPush | None:
        """Say why this must not go out; `before` is what is held now."""
        self.released = None
        for identity, reason in self._reasons(view, snapshot):
            push = before if before is not None and before.id == identity else None
            push = push or HeldPush(
                id=identity,
                group=EDGE,
                revision=view.revision,
                reason=reason,
                clusters_before=self._last_good(view),
                clusters_after=count(snapshot),
                held_at=self._wall_clock().isoformat(timespec="seconds"),
            )
            if is_released(view, identity):
                log.warning("push_released id=%s revision=%d", identity, view.revision)
                self.released = push
                continue
            if push is not before:
                self.holds += 1
                log.error("push_held id=%s revision=%d reason=%s", identity, view.revision, reason)
            return push
        return None

    def _reasons(self, view: View, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
        """Yield each reason against a Snapshot, with an id that is the same at every replica."""
        hold = shrink(self._last_good(view), snapshot)
        if hold is not None:
            yield push_id(EDGE, snapshot.of_type(CLUSTER)), hold.reason
        if words := self._verdict(snapshot):
            yield push_id(EDGE, [digest_of(snapshot)]), f"Envoy refuses it (--mode validate): {words}"

    def _last_good(self, view: View) -> int:
        revision = view.document_revision(GOOD, EDGE)
        if revision > self._good_revision or self.good_clusters is None:
            self._good_revision = revision
            recorded = good_clusters(view, EDGE)
            if recorded is not None:
                self.good_clusters = recorded
        if self.good_clusters is None:
            self.good_clusters = self._saved_clusters()
        return self.good_clusters or 0
