"""The current Snapshot of each node group, one more for some nodes, and who is to hear of the next one.

The publisher puts Snapshots in; what changes for a stream is computed once for all that had the same, and
they are offered both (`View -> Snapshot -> Response`). It holds at most two Snapshots per group and never a
queue. Not thread-safe: one event loop owns it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from xds.nodes import Node
from xds.resource import Reference
from xds.snapshot import Change, Dangling, Snapshot, diff
from xds.wire import ProtocolError, Status

log = logging.getLogger("xds.cache")

EMPTY: Final = Snapshot.of(0, ())
FAILED: Final = ProtocolError(Status.UNAVAILABLE, "this server failed to prepare an update; connect again")


Takes: TypeAlias = Callable[[Node], bool]
"""Tells which nodes a staged Snapshot is for. The same node gets the same answer whenever it connects."""


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
class _Group:
    """One group: what all have, what some have instead, and each stream's node and what it was offered."""

    current: Snapshot | None = None
    staged: Snapshot | None = None
    takes: Takes = lambda _: False
    nodes: dict[Subscriber, Node] = field(default_factory=dict)
    offered: dict[Subscriber, Snapshot] = field(default_factory=dict)

    def of(self, node: Node | None) -> Snapshot | None:
        if self.staged is not None and node is not None and self.takes(node):
            return self.staged
        return self.current


@dataclass(slots=True)
class Cache:
    """Snapshots by group."""

    failures: int = 0
    """How often a stream could not take over a snapshot."""
    _groups: dict[str, _Group] = field(default_factory=dict)

    def publish(self, group: str, snapshot: Snapshot) -> Published | Refused:
        """Make a snapshot the current one of its group, unless something in it names what is not there.

        Nodes that a staged snapshot is for keep that one.
        """
        of = self._group(group)
        change = diff(of.current or EMPTY, snapshot)
        problems = snapshot.problems_since(change)
        if problems:
            return Refused(problems)
        of.current = snapshot
        self._offer(group, of)
        return Published(change)

    def stage(self, group: str, snapshot: Snapshot, takes: Takes) -> Published | Refused:
        """Give some nodes of a group a snapshot of their own instead of the current one.

        It takes the place of what was staged before; whom it is not for goes back to the current one.
        """
        of = self._group(group)
        change = diff(of.current or EMPTY, snapshot)
        problems = snapshot.problems_since(change)
        if problems:
            return Refused(problems)
        of.staged, of.takes = snapshot, takes
        self._offer(group, of)
        return Published(change)

    def unstage(self, group: str) -> None:
        """Let every node of a group have the current snapshot again."""
        of = self._group(group)
        if of.staged is not None:
            of.staged = None
            self._offer(group, of)

    def current(self, group: str, node: Node | None = None) -> Snapshot | None:
        """Return what a node of the group is to have; without one, what all have that nothing is staged for.

        None means that nothing was published yet, which is not "empty".
        """
        of = self._groups.get(group)
        return of.of(node) if of is not None and of.current is not None else None

    def wants(self, group: str, key: Reference, version: str) -> bool:
        """Tell whether a version is in what some node of the group is to have."""
        of = self._groups.get(group)
        if of is None:
            return False
        kind, name = key
        found = (each.of_type(kind).get(name) for each in (of.current, of.staged) if each is not None)
        return any(one is not None and one.version == version for one in found)

    def snapshots(self) -> tuple[tuple[str, Snapshot], ...]:
        """Return the current snapshot of each group."""
        return tuple((name, of.current) for name, of in self._groups.items() if of.current is not None)

    def join(self, group: str, subscriber: Subscriber, node: Node) -> None:
        """Offer to this subscriber whatever is published for its node from now on."""
        of = self._group(group)
        of.nodes[subscriber] = node
        of.offered[subscriber] = of.of(node) or EMPTY

    def leave(self, group: str, subscriber: Subscriber) -> None:
        """Offer to this subscriber no more. It may have left before."""
        of = self._group(group)
        of.nodes.pop(subscriber, None)
        of.offered.pop(subscriber, None)

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def _offer(self, group: str, of: _Group) -> None:
        """Offer to each what it is to have now, unless it was offered that already."""
        changes: dict[tuple[int, int], Change] = {}
        for subscriber, had in tuple(of.offered.items()):
            snapshot = of.of(of.nodes[subscriber])
            if snapshot is None or snapshot is had:
                continue
            both = id(had), id(snapshot)
            change = changes.get(both)
            if change is None:
                change = changes[both] = diff(had, snapshot)
            of.offered[subscriber] = snapshot
            try:
                subscriber.offer(snapshot, change)
            except Exception:  # one stream's fault must not cost the others the push; it starts afresh
                self.failures += 1
                log.exception("offer_failed group=%s revision=%d", group, snapshot.revision)
                subscriber.end(FAILED)
