"""The current Snapshot of each node group, and who is to hear of the next one.

The publisher puts Snapshots in; the change against the last one is computed once, and all streams of the
group are offered both (`View -> Snapshot -> Response`). It holds one Snapshot per group and never a queue.
Not thread-safe: one event loop owns it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from xds.snapshot import Change, Dangling, Snapshot, diff

EMPTY: Final = Snapshot.of(0, ())


class Subscriber(Protocol):
    """A stream, as the cache sees it. `offer` returns at once; the stream sends in its own time."""

    def offer(self, snapshot: Snapshot, change: Change) -> None: ...


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
            subscriber.offer(snapshot, change)
        return Published(change)

    def current(self, group: str) -> Snapshot | None:
        """Return the group's snapshot. None means that nothing was published yet, which is not "empty"."""
        return self._current.get(group)

    def groups(self) -> Mapping[str, Snapshot]:
        return self._current

    def join(self, group: str, subscriber: Subscriber) -> None:
        """Offer to this subscriber whatever is published from now on."""
        self._subscribers.setdefault(group, {})[subscriber] = None

    def leave(self, group: str, subscriber: Subscriber) -> None:
        """Offer to this subscriber no more. It may have left before."""
        members = self._subscribers.get(group, {})
        members.pop(subscriber, None)
        if not members:
            self._subscribers.pop(group, None)
