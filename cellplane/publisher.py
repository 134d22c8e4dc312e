"""View -> Snapshot -> cache: translates each new View, checks what comes out, and publishes it or holds it.

Reads Views from the watcher and hands Snapshots to the xDS cache; tells the recorder what is good and what
is held. It never edits a View; the last good Snapshot stands whenever a new one is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from cellplane.latest import Latest
from cellplane.past_hold import past_hold
from cellplane.push_diff import PushDiff, push_diff
from cellplane.push_guard import PushGuard
from cellplane.push_tracker import Pushed
from cellplane.pushes import EDGE, Frozen, HeldPush, frozen_of
from cellplane.recorder import Wish
from cellplane.rules_in_force import RulesInForce
from envoy.edge import EdgeSettings
from envoy.guard import count
from envoy.translate import Translation, translate
from topology.timings import Timings
from topology.view import View
from xds.cache import Cache, Refused
from xds.debounce import Debounce
from xds.resource import ENDPOINT
from xds.snapshot import diff

log = logging.getLogger("cellplane.publisher")

RETRY_SECONDS = 1.0
BUILD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(slots=True)
class PublisherState:
    """What the status pages and the metrics read. `view` is the newest seen, `published` the newest that was
    sent.
    """

    view: View | None = None
    published: View | None = None
    published_at: float = 0.0
    held: HeldPush | None = None
    frozen: Frozen | None = None
    refused: tuple[str, ...] = ()
    publishes: int = 0
    holds: int = 0
    refusals: int = 0
    failures: int = 0
    builds: Timings = field(default_factory=lambda: Timings(BUILD_SECONDS))
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
        tell: Callable[[Pushed], None] = lambda _: None,
    ) -> None:
        self.state = PublisherState()
        self.cache = cache
        self._settings = settings
        self._recorder = recorder
        self._saved = saved
        self._wall_clock = wall_clock
        self._rules = RulesInForce()
        self._guard = PushGuard(self._saved_clusters, wall_clock)
        self._tell = tell
        self._full: View | None = None
        self._arrived_at: float | None = None
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
        self._full = self._saved
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
        arrived_at, self._arrived_at = self._arrived_at, None
        self.state.frozen = frozen_of(view)
        if self.state.frozen is not None:
            if self.state.published is None:
                self.publish_saved()
            return None
        held = self._guard.held(view, translation.snapshot, self.state.held)
        self.state.holds = self._guard.holds
        if held is None:
            if self._publish(view, translation, arrived_at):
                self._full = view
                self._guard.note_good(translation.snapshot)
        elif self.state.published is None:
            self.publish_saved()
        self.state.held = held
        if held is not None:
            self._publish_past_hold(view, arrived_at)
        good = self.state.published
        if good is not None and good.stale:
            good = None
        clusters = self._guard.good_clusters
        self._recorder.wish(Wish(group=EDGE, view=view, save=good, clusters=clusters, held=held))
        return translation.next_change_seconds

    def arrived(self, _: View) -> None:
        """Note that news came from the store: from here on the time is taken until Envoys have it."""
        if self._arrived_at is None:
            self._arrived_at = time.monotonic()

    def pending(self) -> PushDiff | None:
        """Tell what would change if what is frozen or held went out now; None where nothing would."""
        sent, waits, view = self._published, self._pending, self.state.view
        if sent is None or waits is None or view is None:
            return None
        change = diff(sent.snapshot, waits.snapshot)
        if not change:
            return None
        return push_diff(self.state.published, view, sent.snapshot, waits.snapshot, change)

    def _publish_past_hold(self, view: View, arrived_at: float | None) -> None:
        """Send what cannot wait for the release of what is held: which cells are quarantined."""
        published = self.state.published
        if self._full is None or published is None:
            return
        passing = past_hold(self._full, view)
        if passing.cells == published.cells:
            return
        passing = replace(passing, revision=max(passing.revision, published.revision))
        translation = self._translate(passing, self._published)
        self._read_rules(view)  # the View's own again
        if translation is not None and self._publish(passing, translation, arrived_at):
            log.warning("quarantine_published revision=%d", passing.revision)

    def _translate(self, view: View, before: Translation | None = None) -> Translation | None:
        self._read_rules(view)
        if self._rules.ruleset is None:
            return None
        began = time.perf_counter()
        made = translate(view, self._rules.ruleset, self._settings, self._wall_clock(), before)
        self.state.builds.add(time.perf_counter() - began)
        return made

    def _read_rules(self, view: View) -> None:
        self._rules.read(view)
        self.state.rules_problem = self._rules.problem

    def _publish(self, view: View, translation: Translation, arrived_at: float | None = None) -> bool:
        began = time.monotonic()
        outcome = self.cache.publish(EDGE, translation.snapshot)
        if isinstance(outcome, Refused):
            self.state.refused = tuple(str(problem) for problem in outcome.problems)
            self.state.refusals += 1
            log.error(
                "snapshot_refused revision=%d problems=%s", view.revision, "; ".join(self.state.refused)
            )
            return False
        self.state.refused = ()
        before, old = self.state.published, self._published
        self._published = translation
        self.state.published = view
        self.state.published_at = time.time()
        self.state.publishes += 1
        if outcome.change:
            pushed = Pushed(
                group=EDGE,
                before=before,
                after=view,
                old=old.snapshot if old is not None else None,
                new=translation.snapshot,
                change=outcome.change,
                arrived_at=began if arrived_at is None else arrived_at,
                at=self.state.published_at,
            )
            self._tell(pushed)
        return True

    def _saved_clusters(self) -> int | None:
        if self._saved is None:
            return None
        saved = self._translate(self._saved)
        if self.state.view is not None:
            self._read_rules(self.state.view)  # the View's own again
        return count(saved.snapshot) if saved is not None else 0
