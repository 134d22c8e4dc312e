"""View -> Snapshot -> cache: translates each new View, checks what comes out, and publishes it or holds it.

Reads Views from the watcher and hands Snapshots to the xDS cache; tells the recorder what is good and what
is held. It never edits a View; the last good Snapshot stands whenever a new one is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cellplane.latest import Latest
from cellplane.pushes import EDGE, GOOD, HeldPush, good_clusters, is_released, push_id
from cellplane.recorder import Wish
from cellplane.rules_in_force import RulesInForce
from envoy.edge import EdgeSettings
from envoy.guard import count, shrink
from envoy.translate import Translation, translate
from topology.view import View
from xds.cache import Cache, Refused
from xds.debounce import Debounce
from xds.resource import CLUSTER, ENDPOINT
from xds.snapshot import Snapshot, diff

log = logging.getLogger("cellplane.publisher")

RETRY_SECONDS = 1.0


@dataclass(slots=True)
class PublisherState:
    """What the status pages and the metrics read. `view` is the newest seen, `published` the newest that was
    sent.
    """

    view: View | None = None
    published: View | None = None
    published_at: float = 0.0
    held: HeldPush | None = None
    refused: tuple[str, ...] = ()
    publishes: int = 0
    holds: int = 0
    refusals: int = 0
    failures: int = 0
    rules_problem: str = ""

    def is_stale(self, connected: bool) -> bool:
        """Say whether what is known may be out of date: etcd is not followed, or was not heard of yet."""
        return not connected or self.view is None or self.view.stale


class Remembers(Protocol):
    """Whoever keeps what should outlive this process: the recorder."""

    def wish(self, wish: Wish) -> None:
        """Take note, and return at once."""
        ...


class Publisher:
    """Turn Views into published Snapshots for the group of edge proxies."""

    def __init__(
        self,
        cache: Cache,
        settings: EdgeSettings,
        recorder: Remembers,
        saved: View | None = None,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.state = PublisherState()
        self._cache = cache
        self._settings = settings
        self._recorder = recorder
        self._saved = saved
        self._wall_clock = wall_clock
        self._rules = RulesInForce()
        self._good_clusters: int | None = None
        self._good_revision = 0
        self._published: Translation | None = None
        self._pending: Translation | None = None
        self._debounce = Debounce()

    async def run(self, views: Latest[View]) -> None:
        """Publish each View as it comes, and again whenever a drain takes its next step."""
        wait_seconds: float | None = None
        while True:
            view = await views.next(wait_seconds) or self.state.view
            if view is None:
                continue
            try:
                wait_seconds = self.offer(view)
            except Exception:  # the last good Snapshot stands, and the next View is tried
                wait_seconds = RETRY_SECONDS
                self.state.failures += 1
                log.exception("publish_failed revision=%d", view.revision)

    def publish_saved(self) -> bool:
        """Publish the View that was saved as the last good one; say whether there was one to publish."""
        translation = self._translate(self._saved) if self._saved is not None else None
        if self._saved is None or translation is None:
            return False
        self.state.view = self.state.view or self._saved
        self._publish(self._saved, translation)
        log.warning("saved_view_published revision=%d", self._saved.revision)
        return True

    def offer(self, view: View) -> float | None:
        """Translate a View and publish or hold what comes out.

        Return in how many seconds to offer it again, if ever.
        """
        self.state.view = view
        before = self._pending or self._published
        translation = self._translate(view, before)
        if translation is None and self.publish_saved():
            # Its rules were good once, and are the last good ones now.
            translation = self._translate(view, self._published)
        if translation is None:
            return None
        self._pending = translation
        # Changes of endpoints never wait; of others the first after quiet goes at once, the rest together.
        urgent = before is None or diff(before.snapshot, translation.snapshot).keys() <= {ENDPOINT}
        if wait_seconds := self._debounce.wait_seconds(time.monotonic(), urgent):
            return wait_seconds
        self._debounce.went(time.monotonic())
        held = self._held(view, translation.snapshot)
        if held is None:
            if self._publish(view, translation):
                self._good_clusters = count(translation.snapshot)
        elif self.state.published is None:
            self.publish_saved()
        self.state.held = held
        good = self.state.published
        if good is not None and good.stale:
            good = None
        self._recorder.wish(Wish(group=EDGE, view=view, save=good, clusters=self._good_clusters, held=held))
        return translation.next_change_seconds

    def _translate(self, view: View, before: Translation | None = None) -> Translation | None:
        self._read_rules(view)
        if self._rules.ruleset is None:
            return None
        return translate(view, self._rules.ruleset, self._settings, self._wall_clock(), before)

    def _read_rules(self, view: View) -> None:
        self._rules.read(view)
        self.state.rules_problem = self._rules.problem

    def _publish(self, view: View, translation: Translation) -> bool:
        outcome = self._cache.publish(EDGE, translation.snapshot)
        if isinstance(outcome, Refused):
            self.state.refused = tuple(str(problem) for problem in outcome.problems)
            self.state.refusals += 1
            log.error(
                "snapshot_refused revision=%d problems=%s", view.revision, "; ".join(self.state.refused)
            )
            return False
        self.state.refused = ()
        self._published = translation
        self.state.published = view
        self.state.published_at = time.time()
        self.state.publishes += 1
        return True

    def _held(self, view: View, snapshot: Snapshot) -> HeldPush | None:
        hold = shrink(self._last_good(view), snapshot)
        if hold is None:
            return None
        identity = push_id(EDGE, snapshot.of_type(CLUSTER))
        if is_released(view, identity):
            log.warning("push_released id=%s revision=%d", identity, view.revision)
            return None
        if self.state.held is not None and self.state.held.id == identity:
            return self.state.held
        self.state.holds += 1
        log.error("push_held id=%s revision=%d reason=%s", identity, view.revision, hold.reason)
        return HeldPush(
            id=identity,
            group=EDGE,
            revision=view.revision,
            reason=hold.reason,
            clusters_before=hold.clusters_before,
            clusters_after=hold.clusters_after,
            held_at=self._wall_clock().isoformat(timespec="seconds"),
        )

    def _last_good(self, view: View) -> int:
        """Return how many clusters the last good Snapshot had, here or at whichever replica published
        last.
        """
        revision = view.document_revision(GOOD, EDGE)
        if revision > self._good_revision or self._good_clusters is None:
            self._good_revision = revision
            recorded = good_clusters(view, EDGE)
            if recorded is not None:
                self._good_clusters = recorded
        if self._good_clusters is None and self._saved is not None:
            saved = self._translate(self._saved)
            self._read_rules(view)  # the View's own again
            self._good_clusters = count(saved.snapshot) if saved is not None else 0
        return self._good_clusters or 0
