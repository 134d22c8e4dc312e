"""The current Snapshot of each node group, and who is to hear of the next one.

The publisher puts Snapshots in; the change against the last one is computed once, and all streams of the
group are offered both (`View -> Snapshot -> Response`). It holds one Snapshot per group and never a queue.
Not thread-safe: one event loop owns it.
"""

import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

from xds.snapshot import Change, Dangling, Snapshot, diff
from xds.wire import ProtocolError, Status

log = logging.getLogger("xds.cache")

EMPTY: Final = Snapshot.of(0, ())
FAILED: Final = ProtocolError(Status.UNAVAILABLE, "this server failed to prepare an update; connect again")


class Subscriber(Protocol):
    """A stream, as the cache sees it. `offer` returns at once; the stream sends in its own time."""

    def offer(self, snapshot: Snapshot, change: Change) -> None: ...
    def end(self, reason: ProtocolError) -> None: ...


@dataclass(frozen=True, slots=True)
class Published:
    """The snapshot is current, and this is what it changed."""

    change: Change


@dataclass(frozen=True, slots=True)
class Refused:
    """The snapshot contradicts itself; the one before it stands."""

    problems: tuple[Dangling, ...]


@dataclass(slots=True)
class Cache:
    """Snapshots by group."""

    failures: int = 0
    """How often a stream could not take over a snapshot."""
    _current: dict[str, Snapshot] = field(default_factory=dict)
    _subscribers: dict[str, dict[Subscriber, None]] = field(default_factory=dict)

    def publish(self, group: str, snapshot: Snapshot) -> Published | Refused:
        """Make a snapshot the current one of its group, unless something in it names what is not there."""
        old = self._current.get(group, EMPTY)
        change = diff(old, snapshot)
        problems = snapshot.problems_since(change)
        if problems:
            return Refused(problems)
        self._current[group] = snapshot
        for subscriber in tuple(self._subscribers.get(group, ())):
            try:
                subscriber.offer(snapshot, change)
            except Exception:  # one stream's fault must not cost the others the push; it starts afresh
                self.failures += 1
                log.exception("offer_failed group=%s revision=%d", group, snapshot.revision)
                subscriber.end(FAILED)
        return Published(change)

    def current(self, group: str) -> Snapshot | None:
        """Return the group's snapshot. None means that nothing was published yet, which is not "empty"."""
        return self._current.get(group)

    def snapshots(self) -> tuple[tuple[str, Snapshot], ...]:
        """Return the current snapshot of each group."""
        return tuple(self._current.items())

    def join(self, group: str, subscriber: Subscriber) -> None:
        """Offer to this subscriber whatever is published from now on."""
        self._subscribers.setdefault(group, {})[subscriber] = None

    def leave(self, group: str, subscriber: Subscriber) -> None:
        """Offer to this subscriber no more. It may have left before."""
        members = self._subscribers.get(group, {})
        members.pop(subscriber, None)
        if not members:
            self._subscribers.pop(group, None)
