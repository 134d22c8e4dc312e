"""What the nodes of one group have rejected: whom to believe, and what the others wait for meanwhile.

Each node's `Holds` tells it of rejections, searches and acceptances, and asks what has to wait (`Snapshot ->
Response`). A version is held for the whole group when a second node of the same Envoy version rejects it
too, or the group has no other node; one node that lies holds back nobody. Pure, bounded; it never sends.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from xds.hold_record import (
    MAX_REJECTIONS,
    MAX_VERSIONS,
    HoldRecord,
    RejectedVersion,
    Rejection,
    Version,
    united,
)
from xds.resource import Reference, Resource, ResourceType

MAX_RECORDS: Final = 1_000
MAX_WAITED: Final = 10_000
MAX_MESSAGE: Final = 2_000


@dataclass(slots=True, eq=False)
class GroupHolds:
    """One group. `changed` is called when somebody may go on who waited, `recorded` with what to keep."""

    changed: Callable[[], None] = lambda: None
    recorded: Callable[[HoldRecord], None] = lambda _: None
    records: dict[Reference, HoldRecord] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """The connected ones, and the version of each one's Envoy."""
    _searched: dict[Version, str] = field(default_factory=dict)
    """Suspects, and the node that is searched; the others wait."""
    _trials: dict[Version, str | None] = field(default_factory=dict)
    """Rejected by one node: a second one tries it, alone, and the others wait for what it says."""
    _waited: dict[Version, None] = field(default_factory=dict)
    """What the group has waited for once and waits for no more."""
    _foreign: set[Reference] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """Tell whether everything may be sent to everybody."""
        return not (self.records or self._searched or self._trials)

    # --- nodes

    def joined(self, node: str, envoy: str) -> None:
        self.nodes[node] = envoy

    def left(self, node: str) -> None:
        """Wait no more for this node."""
        self.nodes.pop(node, None)
        self.search_ended(node)
        witnessed = [version for version, witness in self._trials.items() if witness == node]
        for version in witnessed:
            self._trials[version] = None
        if witnessed:
            self.changed()

    # --- what is to wait

    def withholds(self, resource: Resource, node: str) -> bool:
        """Tell whether this version may not be sent to this node, or not yet."""
        version = (resource.key, resource.version)
        record = self.records.get(resource.key)
        known = record.versions.get(resource.version) if record else None
        if known is not None and (known.held or any(one.node == node for one in known.rejections)):
            return True
        if self._searched.get(version, node) != node:
            return True
        return self._trials.get(version) not in (None, node) and self._may_witness(version, node)

    def good(self, key: Reference) -> Resource | None:
        """Return the last version of a resource that was good."""
        record = self.records.get(key)
        return record.good if record else None

    def rejected_by(self, node: str) -> set[ResourceType]:
        """Return the types of which a node is known to have rejected something."""
        return {
            key[0]
            for key, record in self.records.items()
            for known in record.versions.values()
            if any(one.node == node for one in known.rejections)
        }

    def why_held(self, resource: Resource) -> str | None:
        """Return the words with which a version was rejected that is held for the group."""
        record = self.records.get(resource.key)
        known = record.versions.get(resource.version) if record else None
        return known.rejections[0].message if known and known.held and known.rejections else None

    def is_tried(self, resource: Resource, node: str) -> bool:
        """Tell whether this node would be the one to try a version: it goes in a response of its own."""
        version = (resource.key, resource.version)
        return version in self._trials and self._may_witness(version, node)

    def try_on(self, resource: Resource, node: str) -> None:
        """Note that a version on trial leaves for this node."""
        self._trials[(resource.key, resource.version)] = node

    def _may_witness(self, version: Version, node: str) -> bool:
        key, content = version
        record = self.records.get(key)
        known = record.versions.get(content) if record else None
        return known is not None and self.nodes.get(node) in {one.envoy for one in known.rejections}

    # --- what became of it

    def search_began(self, node: str, suspects: Iterable[Resource]) -> bool:
        """Let the others wait for the end of a search; False if one for the same is under way elsewhere."""
        versions = [(one.key, one.version) for one in suspects]
        if any(self._searched.get(version, node) != node for version in versions):
            return False
        fresh = [version for version in versions if version not in self._waited]
        self._searched.update(dict.fromkeys(fresh, node))
        self._note_waited(fresh)
        return True

    def search_ended(self, node: str, kind: ResourceType | None = None) -> None:
        """Let the others go on: with one type, or with all."""
        left = {
            version: one
            for version, one in self._searched.items()
            if one != node or kind not in (None, version[0][0])
        }
        if len(left) < len(self._searched):
            self._searched = left
            self.changed()

    def rejected(self, node: str, resource: Resource, message: str, good: Resource | None) -> None:
        """Note a node's rejection, and decide whether it is believed."""
        key, version, envoy = resource.key, resource.version, self.nodes.get(node, "")
        record = self.records.pop(key, None) or HoldRecord(key=key)
        known = record.versions.get(version, RejectedVersion())
        if len(known.rejections) < MAX_REJECTIONS and all(one.node != node for one in known.rejections):
            rejections = (*known.rejections, Rejection(node, envoy, message[:MAX_MESSAGE]))
            known = replace(known, rejections=rejections)
        same = sum(one.envoy == envoy for one in known.rejections)
        alone = not self.nodes.keys() - {node}
        if not known.held and (same > 1 or alone):
            known = replace(known, held=True, alone=same == 1)
        elif known.alone and same > 1:
            known = replace(known, alone=False)
        versions = {one: was for one, was in record.versions.items() if one != version} | {version: known}
        if len(versions) > MAX_VERSIONS:
            del versions[next(iter(versions))]
        self._keep(HoldRecord(key=key, versions=versions, good=good or record.good))
        self._judge((key, version), known, envoy)
        self.changed()

    def _judge(self, version: Version, known: RejectedVersion, envoy: str) -> None:
        """Put on trial what another node of the same Envoy version can still try; once."""
        rejecters = {one.node for one in known.rejections}
        others = any(is_at == envoy for node, is_at in self.nodes.items() if node not in rejecters)
        if known.held or not others:
            self._trials.pop(version, None)
        elif version not in self._trials and (version not in self._waited or version in self._searched):
            self._trials[version] = None
            self._note_waited([version])

    def accepted(self, node: str, resources: Iterable[Resource]) -> None:
        """Note that a node has taken something over: what was on trial is good for all others."""
        if not self._trials:
            return
        found = [
            version
            for one in resources
            if (version := (one.key, one.version)) in self._trials and self._may_witness(version, node)
        ]
        self.acquit(found)

    def acquit(self, versions: Iterable[Version]) -> None:
        """End trials: nobody waits for them any more."""
        ended = [version for version in versions if version in self._trials]
        for version in ended:
            del self._trials[version]
        if ended:
            self.changed()

    def release(self, key: Reference) -> None:
        """Forget all that is held against a resource, on an operator's word."""
        if self.records.pop(key, None) is not None:
            self.recorded(HoldRecord(key=key))
        self._forget_waits(key)
        self.changed()

    # --- other replicas

    def learn(self, records: Iterable[HoldRecord]) -> tuple[Reference, ...]:
        """Take over all that is kept outside; return what was there before and is no longer: it is
        released.
        """
        told = {record.key: record for record in records}
        released = tuple(key for key in self._foreign if key not in told)
        self._foreign = set(told)
        for key in released:
            self.records.pop(key, None)
            self._forget_waits(key)
        for key, record in told.items():
            merged = self._merged(self.records.get(key), record)
            self.records[key] = merged
            if merged.versions != record.versions:
                self.recorded(merged)
            for version, known in merged.versions.items():
                if known.held:
                    self._trials.pop((key, version), None)
        if told or released:
            self.changed()
        return released

    def _merged(self, ours: HoldRecord | None, told: HoldRecord) -> HoldRecord:
        merged = united(ours or HoldRecord(key=told.key), told)
        versions = dict(merged.versions)
        for version, known in merged.versions.items():
            mine = ours.versions.get(version) if ours else None
            nodes = {one.node for one in known.rejections}
            if known.alone and not (mine and mine.held) and self.nodes.keys() - nodes:
                # It was alone at another replica; here are nodes that may say something else.
                versions[version] = replace(known, held=False, alone=False)
        return replace(merged, versions=versions)

    def _keep(self, record: HoldRecord) -> None:
        self.records[record.key] = record
        self.recorded(record)
        while len(self.records) > MAX_RECORDS:
            oldest = next(iter(self.records))
            del self.records[oldest]
            self.recorded(HoldRecord(key=oldest))

    def _note_waited(self, versions: Iterable[Version]) -> None:
        self._waited.update(dict.fromkeys(versions))
        while len(self._waited) > MAX_WAITED:
            del self._waited[next(iter(self._waited))]

    def _forget_waits(self, key: Reference) -> None:
        for book in (self._searched, self._trials, self._waited):
            for version in [one for one in book if one[0] == key]:
                del book[version]
