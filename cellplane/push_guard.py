"""Whether a Snapshot may go out by itself: it may not where too many clusters or routes are lost, or where an
Envoy refuses it, until somebody released it.

The publisher asks before each push. It remembers how many the last good Snapshot had, here or at whichever
replica published last. It sends and writes nothing (`View -> Snapshot`, the last look).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from cellplane.push_record import digest_of
from cellplane.pushes import EDGE, GOOD, HeldPush, good_counts, is_released, push_id
from cellplane.wave_record import settings_of
from envoy.guard import Extent, extent, losses
from envoy.translate import Translation
from topology.view import View
from xds.resource import CLUSTER
from xds.snapshot import Snapshot

log = logging.getLogger("cellplane.push_guard")


class PushGuard:
    """The guard of the group of edge proxies. `saved` gives what the saved View comes to, if there is one."""

    def __init__(
        self,
        saved: Callable[[], Translation | None],
        wall_clock: Callable[[], datetime],
        verdict: Callable[[Snapshot], str | None] = lambda _: "",
    ) -> None:
        self.good: Extent | None = None
        self.holds = 0
        self.released: HeldPush | None = None
        """What was let through at the last look, on an operator's word."""
        self._saved = saved
        self._wall_clock = wall_clock
        self._verdict = verdict
        self._good_revision = 0

    @property
    def good_counts(self) -> tuple[int, int] | None:
        """What is to be on record as good."""
        return None if self.good is None else (self.good.clusters, self.good.routes)

    def note_good(self, translation: Translation) -> None:
        """Remember what went out."""
        self.good = extent(translation)

    def held(self, view: View, translation: Translation, before: HeldPush | None) -> HeldPush | None:
        """Say why this must not go out; `before` is what is held now."""
        self.released = None
        good, now = self._last_good(view), extent(translation)
        for identity, reason in self._reasons(view, translation, good, now):
            push = before if before is not None and before.id == identity else None
            push = push or HeldPush(
                id=identity,
                group=EDGE,
                revision=view.revision,
                reason=reason,
                clusters_before=good.clusters,
                clusters_after=now.clusters,
                held_at=self._wall_clock().isoformat(timespec="seconds"),
                routes_before=good.routes,
                routes_after=now.routes,
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

    def _reasons(
        self, view: View, translation: Translation, good: Extent, now: Extent
    ) -> Iterator[tuple[str, str]]:
        """Yield each reason against a Snapshot, with an id that is the same at every replica."""
        lost = list(losses(good, now, settings_of(view, EDGE).most_gone_percent))
        if lost:
            left: list[str] = []
            for loss in lost:
                left += translation.snapshot.of_type(CLUSTER) if loss.kind == "clusters" else ()
                left += (f"rule {name}" for name in translation.rules) if loss.kind == "routes" else ()
            yield push_id(EDGE, left), "; ".join(loss.reason for loss in lost)
        if words := self._verdict(translation.snapshot):
            yield (
                push_id(EDGE, [digest_of(translation.snapshot)]),
                f"Envoy refuses it (--mode validate): {words}",
            )

    def _last_good(self, view: View) -> Extent:
        revision = view.document_revision(GOOD, EDGE)
        if revision > self._good_revision or self.good is None:
            self._good_revision = revision
            if (recorded := good_counts(view, EDGE)) is not None:
                self.good = Extent(*recorded)
        if self.good is None and (saved := self._saved()) is not None:
            self.good = extent(saved)
        return self.good or Extent()
