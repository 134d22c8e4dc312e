"""Hands Snapshots to the cache, for all nodes of a group or those of a wave, and tells of what they change.

The publisher decides what goes out; this does it and keeps what went out last (`View -> Snapshot -> cache`).
A Snapshot that contradicts itself is refused, and what was there stands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from cellplane.delivery import Split
from cellplane.publisher_state import PublisherState
from cellplane.push_diff import effective_revision
from cellplane.push_tracker import Pushed
from cellplane.pushes import EDGE
from envoy.translate import Translation
from topology.view import View
from xds.cache import Cache, Refused
from xds.snapshot import Dangling, diff

log = logging.getLogger("cellplane.sender")


class Sender:
    """What the group of edge proxies was sent last: `published` is everyone's, `staged` what a wave tries."""

    def __init__(
        self,
        cache: Cache,
        state: PublisherState,
        tell: Callable[[Pushed], None],
        withdraw: Callable[[str], None],
    ) -> None:
        self.published: Translation | None = None
        self.staged: Translation | None = None
        self._cache = cache
        self._state = state
        self._tell = tell
        self._withdraw = withdraw
        self._wave = ""
        self._bound: object = None
        self._revision = 0

    def to_all(
        self, view: View, translation: Translation, arrived_at: float | None = None, tag: str = ""
    ) -> bool:
        """Send to everyone whom no wave has; say whether it went."""
        began = time.monotonic()
        outcome = self._cache.publish(
            EDGE, replace(translation.snapshot, tag=tag) if tag else translation.snapshot
        )
        if isinstance(outcome, Refused):
            self.refused(view, outcome.problems)
            return False
        state = self._state
        state.refused = ()
        before, old = state.published, self.published
        self.published = translation
        state.published = view
        state.published_at = time.time()
        state.publishes += 1
        if outcome.change:
            pushed = Pushed(
                group=EDGE,
                before=before,
                after=view,
                old=old.snapshot if old is not None else None,
                new=translation.snapshot,
                change=outcome.change,
                arrived_at=began if arrived_at is None else arrived_at,
                at=state.published_at,
            )
            if self._ends_with(translation, tag):
                pushed = replace(pushed, wave=self._wave, revision=self._revision)
            self._tell(pushed)
        return True

    def to_some(self, split: Split, view: View, translation: Translation, arrived_at: float | None) -> bool:
        """Send to the nodes of a wave, instead of what all have; say whether it went."""
        began, wave, old = time.monotonic(), split.wave, self.published
        snapshot = replace(translation.snapshot, tag=wave.id)
        outcome = self._cache.stage(EDGE, snapshot, split.takes)
        if isinstance(outcome, Refused):
            self.refused(view, outcome.problems)
            return False
        if self._wave and self._wave != wave.id:
            self._withdraw(self._wave)
        is_wider = (wave.id, wave.bound) != (self._wave, self._bound)
        self.staged, self._wave, self._bound = translation, wave.id, wave.bound
        self._revision = effective_revision(split.tried) if split.tried is not None else 0
        self._state.staged = view
        if is_wider and old is not None and outcome.change:
            pushed = Pushed(
                group=EDGE,
                before=split.everyone,
                after=view,
                old=old.snapshot,
                new=snapshot,
                change=outcome.change,
                arrived_at=began if arrived_at is None else arrived_at,
                at=time.time(),
                wave=wave.id,
                revision=self._revision,
                takes=split.takes,
            )
            self._tell(pushed)
        return True

    def end_stage(self, tag: str = "") -> None:
        """Let the nodes of the wave have what all have; the wave went through if that bears its tag."""
        if self.staged is None:
            return
        came_through = self.published is not None and self._ends_with(self.published, tag)
        self._cache.unstage(EDGE)
        if not came_through:
            self._withdraw(self._wave)
        self.staged, self._wave, self._bound, self._state.staged = None, "", None, None

    def refused(self, view: View, problems: tuple[Dangling, ...]) -> None:
        """Note that something contradicts itself."""
        self._state.refused = tuple(str(problem) for problem in problems)
        self._state.refusals += 1
        log.error("snapshot_refused revision=%d problems=%s", view.revision, "; ".join(self._state.refused))

    def _ends_with(self, translation: Translation, tag: str) -> bool:
        """Tell whether everyone is given what the wave has tried."""
        if self.staged is None:
            return False
        return tag == self._wave or not diff(self.staged.snapshot, translation.snapshot)
