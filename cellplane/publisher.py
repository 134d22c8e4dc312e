"""View -> Snapshot -> cache: translates each new View, checks what comes out, and publishes it or holds it.

Reads Views from the watcher and hands Snapshots to the sender, to all nodes or in waves; tells the recorder
what is good and what is held. It never edits a View; the last good Snapshot stands whenever a new one is
refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from cellplane.delivery import Delivery, NotKnown, Split
from cellplane.envoy_check import EnvoyCheck
from cellplane.latest import Latest
from cellplane.past_hold import past_hold
from cellplane.publisher_state import PublisherState, Standing
from cellplane.push_diff import PushDiff, push_diff
from cellplane.push_guard import PushGuard
from cellplane.push_tracker import Pushed
from cellplane.pushes import EDGE, HeldPush, frozen_of
from cellplane.recorder import Wish
from cellplane.sender import Sender
from cellplane.translator import Translator
from envoy.edge import EdgeSettings
from envoy.translate import Translation
from topology.view import View
from xds.cache import Cache
from xds.debounce import Debounce
from xds.resource import ENDPOINT
from xds.snapshot import diff

log = logging.getLogger("cellplane.publisher")

RETRY_SECONDS = 1.0


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
        delivery: Delivery | None = None,
        check: EnvoyCheck | None = None,
    ) -> None:
        self.state = PublisherState()
        self.cache = cache
        self._recorder = recorder
        self._saved = saved
        self.delivery = delivery
        self._newest, self._everyone, self._tried = (
            Translator(settings, wall_clock, self.state.builds) for _ in range(3)
        )
        self.check = check or EnvoyCheck(None, lambda: None)
        self._guard = PushGuard(self._saved_translation, wall_clock, self.check.verdict)
        self._sender = Sender(cache, self.state, tell, delivery.withdraw if delivery else lambda _: None)
        self.offered: Callable[[], None] = lambda: None
        """Told after each look: the rules that edges have may be others now."""
        self._full: View | None = None
        self._arrived_at: float | None = None
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
                self.offered()
            except Exception:  # the last good Snapshot stands, and the next View is tried
                wait_seconds = RETRY_SECONDS
                self.state.failures += 1
                log.exception("publish_failed revision=%d", view.revision)

    def publish_saved(self) -> bool:
        """Publish the View that was saved as the last good one; say whether there was one to publish."""
        translation = self._everyone.make(self._saved) if self._saved is not None else None
        if self._saved is None or translation is None:
            return False
        self.state.view = self.state.view or self._saved
        self._full = self._saved
        self._sender.to_all(self._saved, translation)
        self.check.note_good(translation.snapshot)
        log.warning("saved_view_published revision=%d", self._saved.revision)
        return True

    def offer(self, view: View) -> float | None:
        """Translate a View and publish or hold what comes out.

        Return in how many seconds to offer it again, if ever.
        """
        self.state.view = view
        before = self._pending or self._sender.published
        translation = self._newest.make(view, before)
        if translation is None and self._saved is not None and self.publish_saved():
            # Its rules were good once, and are the last good ones now.
            self._newest.make(self._saved)
            translation = self._newest.make(view, self._sender.published)
        self.state.rules_problem = self._newest.problem
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
        split = self.delivery.split(view) if self.delivery is not None else None
        is_asked = self.check.verdict(translation.snapshot) is None
        if self.state.frozen is not None or isinstance(split, NotKnown) or is_asked:
            if self.state.published is None:
                self.publish_saved()
            return None
        if split is None:
            kept = held = self._to_all(view, translation, arrived_at)
        else:
            kept, held = self._in_waves(split, view, translation, arrived_at)
        self.state.held = held
        good = self.state.published
        if good is not None and good.stale:
            good = None
        counts = self._guard.good_counts
        self._recorder.wish(Wish(group=EDGE, view=view, save=good, good=counts, held=kept))
        return translation.next_change_seconds

    def arrived(self, _: View) -> None:
        """Note that news came from the store: from here on the time is taken until Envoys have it."""
        if self._arrived_at is None:
            self._arrived_at = time.monotonic()

    def pending(self) -> PushDiff | None:
        """Tell what would change if what is frozen, held or tried went out now; None where nothing would."""
        sent, waits, view = self._sender.published, self._pending, self.state.view
        if sent is None or waits is None or view is None:
            return None
        change = diff(sent.snapshot, waits.snapshot)
        if not change:
            return None
        return push_diff(self.state.published, view, sent.snapshot, waits.snapshot, change)

    def _to_all(self, view: View, translation: Translation, arrived_at: float | None) -> HeldPush | None:
        """Publish to every node at once, unless it must be held."""
        self.state.standing = None
        held = self._looked_at(view, translation)
        if held is None:
            if self._sender.to_all(view, translation, arrived_at):
                self._full = view
                self._guard.note_good(translation)
                self.check.note_good(translation.snapshot)
            self._sender.end_stage()
            return None
        if self.state.published is None:
            self.publish_saved()
        self._publish_past_hold(view, arrived_at)
        return held

    def _in_waves(
        self, split: Split, view: View, translation: Translation, arrived_at: float | None
    ) -> tuple[HeldPush | None, HeldPush | None]:
        """Publish what all have and what the wave tries; give what to keep as held, and what is held."""
        everyone = self._everyone.make(split.everyone, self._sender.published)
        if everyone is None:
            return None, None
        change = diff(everyone.snapshot, translation.snapshot)
        if change:
            self._sender.to_all(split.everyone, everyone, arrived_at, split.wave.good)
        elif self._sender.to_all(view, translation, arrived_at, split.wave.good):
            self._full = view
        self._guard.note_good(everyone)
        self.check.note_good(everyone.snapshot)
        tried = self._tried.make(split.staged, everyone) if split.staged is not None else None
        if tried is not None and split.staged is not None:
            self._sender.to_some(split, split.staged, tried, arrived_at)
        else:
            self._sender.end_stage(split.wave.good)
            if problems := translation.snapshot.problems_since(change):
                self._sender.refused(view, problems)
        self.state.standing = Standing(
            split=split,
            newest=view,
            snapshot=translation.snapshot,
            waits=bool(change),
            waits_behind=tried is not None and bool(diff(tried.snapshot, translation.snapshot)),
        )
        # What goes in a wave was looked at before it began.
        held = self._looked_at(view, translation) if tried is None else None
        return held or (self._guard.released if change and tried is None else None), held

    def _looked_at(self, view: View, translation: Translation) -> HeldPush | None:
        held = self._guard.held(view, translation, self.state.held)
        self.state.holds = self._guard.holds
        return held

    def _publish_past_hold(self, view: View, arrived_at: float | None) -> None:
        """Send what cannot wait for the release of what is held: which cells are quarantined."""
        published = self.state.published
        if self._full is None or published is None:
            return
        passing = past_hold(self._full, view)
        if passing.cells == published.cells:
            return
        passing = replace(passing, revision=max(passing.revision, published.revision))
        translation = self._everyone.make(passing, self._sender.published)
        if translation is not None and self._sender.to_all(passing, translation, arrived_at):
            log.warning("quarantine_published revision=%d", passing.revision)

    def _saved_translation(self) -> Translation | None:
        return self._everyone.make(self._saved) if self._saved is not None else None
