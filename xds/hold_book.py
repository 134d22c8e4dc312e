"""All that is held, by group and by node, and the port to whoever keeps it beyond this process.

The server asks it for the `Holds` of each node that connects, status pages list it, operators release
through it (`Snapshot -> Response`). It tells a `HoldStore` what has changed and learns from it what other
replicas know. Pure, bounded; it writes nothing itself.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from xds.group_holds import GroupHolds
from xds.hold_record import HoldRecord
from xds.holds import Holds
from xds.resource import Reference

KEPT_NODES: Final = 10_000


@dataclass(frozen=True, slots=True)
class NodeHold:
    """One version that a node is not sent, and whether none of its group is."""

    key: Reference
    version: str
    message: str
    for_group: bool


class HoldStore(Protocol):
    """Whoever keeps holds. `keep` returns at once and may be called often with news of the same resource:
    only the newest counts. A record without versions means that nothing is held of it any more.
    """

    def keep(self, group: str, record: HoldRecord, /) -> None: ...


class HoldBook:
    """The holds of all groups and nodes of a server."""

    def __init__(
        self, store: HoldStore | None = None, changed: Callable[[str], None] = lambda _group: None
    ) -> None:
        self.store = store
        self.changed = changed
        """Called with a group of which somebody may be sent what was withheld."""
        self.wants: Callable[[str, Reference, str], bool] = lambda _group, _key, _version: True
        """Tells whether somebody of a group is to have this version now. What was taken back since stays
        rejected, and nobody misses it.
        """
        self._groups: dict[str, GroupHolds] = {}
        self._nodes: OrderedDict[tuple[str, str], Holds] = OrderedDict()
        self._streams: dict[tuple[str, str], int] = {}

    def group(self, name: str) -> GroupHolds:
        found = self._groups.get(name)
        if found is None:
            found = self._groups[name] = GroupHolds(
                changed=lambda: self.changed(name), recorded=lambda record: self._keep(name, record)
            )
        return found

    def groups(self) -> Mapping[str, GroupHolds]:
        return self._groups

    def joined(self, group: str, node: str, envoy: str) -> Holds:
        """Return what is held of a node that opens a stream; it outlives its streams, but not without
        bound.
        """
        key = (group, node)
        self._streams[key] = self._streams.get(key, 0) + 1
        shared = self.group(group)
        shared.joined(node, envoy)
        holds = self._nodes.pop(key, None)
        if holds is None:
            holds = Holds(node, shared)
            for kind in shared.rejected_by(node):
                # It said so to another replica, or to this one before it was started anew. Whether it was
                # restored there, nobody knows here.
                holds.distrust(kind, ())
        self._nodes[key] = holds
        if len(self._nodes) > KEPT_NODES:
            self._nodes.popitem(last=False)
        return holds

    def left(self, group: str, node: str) -> None:
        """Note that a stream of a node has ended; with the last one, nobody waits for it any more."""
        key = (group, node)
        self._streams[key] -= 1
        if self._streams[key]:
            return
        del self._streams[key]
        holds = self._nodes.get(key)
        if holds is not None:
            holds.abandon()
        self.group(group).left(node)

    def learn(self, group: str, records: Iterable[HoldRecord]) -> None:
        """Take over all that is kept of a group; what was kept and is not any more is released."""
        for key in self.group(group).learn(records):
            self._release_at_nodes(group, key)

    def release(self, group: str, key: Reference) -> None:
        """Send again what was held of a resource, to whoever rejected it too."""
        self._release_at_nodes(group, key)
        self.group(group).release(key)

    def at_node(self, group: str, node: str) -> Iterator[NodeHold]:
        """List what one node is not sent that it is to have, with the words of who rejected it."""
        shared = self.group(group)
        for key, record in shared.records.items():
            for version in record.held:
                if not self.wants(group, key, version):
                    continue
                words = record.versions[version].rejections
                yield NodeHold(key, version, words[0].message if words else "", for_group=True)
        holds = self._nodes.get((group, node))
        for key, version, message in holds.held() if holds else ():
            known = shared.records.get(key)
            if (known is None or version not in known.held) and self.wants(group, key, version):
                yield NodeHold(key, version, message, for_group=False)

    def counts(self) -> Counter[tuple[str, str, bool]]:
        """Count what is wanted and held, by group and type, and whether for all of the group or one node."""
        found: Counter[tuple[str, str, bool]] = Counter()
        for name, group in self._groups.items():
            for key, record in group.records.items():
                held = sum(self.wants(name, key, version) for version in record.held)
                found[name, key[0].name, True] += held
        for name, node in self._nodes:
            for hold in self.at_node(name, node):
                if not hold.for_group:
                    found[name, hold.key[0].name, False] += 1
        return +found

    def held(self) -> Iterator[tuple[str, HoldRecord]]:
        """List what is held for whole groups."""
        for name, group in self._groups.items():
            for record in group.records.values():
                if record.held:
                    yield name, record

    def _release_at_nodes(self, group: str, key: Reference) -> None:
        for (name, _), holds in self._nodes.items():
            if name == group:
                holds.release(key)

    def _keep(self, group: str, record: HoldRecord) -> None:
        if self.store is not None:
            self.store.keep(group, record)
