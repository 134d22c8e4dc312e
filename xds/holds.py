"""What may not be sent to a node: what it or its group has rejected, and what waits for the end of a search.

Streams put in what a NACK taught them and ask what may be sent (`Snapshot -> Response`). One `Holds`
belongs to one node and outlives its streams; `group_holds` is what it shares. Envoy's words are read by
`nack`; where they name nobody, a `Search` finds the culprit.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from xds.backoff import Retries
from xds.group_holds import GroupHolds
from xds.hold_record import Version
from xds.nack import blames_environment
from xds.rejections import Rejections
from xds.resource import Reference, Resource, ResourceType
from xds.search import SEARCH_SECONDS, Search

MAX_SEARCHES: Final = 4
"""Who rejects on and on is searched no more: all that it rejects is held for it."""
TRIAL_SECONDS: Final = 30.0


class Withheld(Enum):
    """There is a resource, but no version of it that may be sent."""

    WITHHELD = "withheld"


WITHHELD: Final = Withheld.WITHHELD

Effective = Resource | None | Literal[Withheld.WITHHELD]
"""What a node shall have under a name: a resource, nothing (it does not exist), or nothing that may be
sent."""


@dataclass(slots=True, eq=False)
class Holds:
    """The rejections of one node. Bounded: the oldest names and versions are forgotten first."""

    node: str = ""
    group: GroupHolds = field(default_factory=GroupHolds)
    _own: Rejections = field(default_factory=Rejections)
    _searches: dict[ResourceType, Search] = field(default_factory=dict)
    _searched: dict[ResourceType, int] = field(default_factory=dict)
    """How many searches there were since the node last accepted something of a type."""
    _retries: Retries = field(default_factory=Retries)
    _trials: dict[Version, float | None] = field(default_factory=dict)
    """What this node tries for its group, and when that is given up."""
    _before: dict[Reference, Resource] = field(default_factory=dict)
    """What stands in for suspects while another node is searched."""
    distrusted: dict[ResourceType, set[str]] = field(default_factory=dict)
    """Types whose versions, as the client tells them, are false, with the names that it may have untold:
    after a NACK, until all was restored."""

    lost: dict[ResourceType, set[str]] = field(default_factory=dict)
    """Names that the last stream ended without an answer to: the client may or may not have them."""

    # --- what may be sent

    @property
    def idle(self) -> bool:
        """Tell whether everything may be sent as it is."""
        return not (self._own or self._searches) and self.group.idle

    def effective(self, resource: Resource | None) -> Effective:
        """Return what to give in place of a resource: itself unless it was rejected, or has to wait."""
        if resource is None or self.idle:
            return resource
        if not self._withholds(resource):
            return resource
        search = self._searches.get(resource.type)
        for good in (
            self._own.good(resource.key),
            search.good.get(resource.name) if search else None,
            self._before.get(resource.key),
            self.group.good(resource.key),
        ):
            if good is not None and not self._withholds(good):
                return good
        return WITHHELD

    def _withholds(self, resource: Resource) -> bool:
        search = self._searches.get(resource.type)
        return (
            self._own.message(resource) is not None
            or (search is not None and search.withholds(resource))
            or self.group.withholds(resource, self.node)
        )

    def search(self, kind: ResourceType) -> Search | None:
        """Return the search that is under way among the resources of a type."""
        return self._searches.get(kind)

    def has_found_elsewhere(self, search: Search) -> bool:
        """Tell whether another node has found out meanwhile what is searched for at this one."""
        return any(self.group.withholds(one, self.node) for one in search.suspects)

    def is_tried(self, resource: Resource) -> bool:
        """Tell whether this goes in a response of its own, for the group waits for what this node says."""
        return not self.group.idle and self.group.is_tried(resource, self.node)

    def try_on(self, resource: Resource) -> None:
        """Note that such a resource leaves."""
        self._trials.setdefault((resource.key, resource.version), None)
        self.group.try_on(resource, self.node)

    # --- what a client says

    def blame(
        self,
        kind: ResourceType,
        named: Sequence[Resource],
        suspects: Sequence[Resource],
        good: Mapping[str, Resource],
        message: str,
    ) -> tuple[Resource, ...]:
        """Find out whom a rejection means, and hold it; return what is held by it.

        `named` is what the message names, `suspects` all that was news in the response, `good` what the
        client had instead. Where nobody is found yet, a search is under way.
        """
        search = self._searches.get(kind)
        if named:
            found = tuple(named)
        elif len(suspects) == 1 or not suspects:
            found = tuple(suspects)
        elif search is not None:
            # What was accepted before and is rejected now: nothing can be made of that.
            tested = search.rejected(suspects)
            found = tuple(dict.fromkeys((*search.suspects, *suspects))) if not tested else ()
            if search.culprit is not None:
                found = (search.culprit,)
        elif self._searched.get(kind, 0) >= MAX_SEARCHES:
            found = tuple(suspects)
        else:
            self._begin(kind, suspects, good, message)
            return ()
        for one in found:
            self.reject(one, message, good.get(one.name) or (search.good.get(one.name) if search else None))
        if found or search is None:
            self.end_search(kind)
        return found

    def _begin(
        self, kind: ResourceType, suspects: Sequence[Resource], good: Mapping[str, Resource], message: str
    ) -> None:
        if self.group.search_began(self.node, suspects):
            self._searched[kind] = self._searched.get(kind, 0) + 1
            self._searches[kind] = Search(tuple(suspects), dict(good), message)
        else:
            # Another node is searched for the same; here what was before stands in until that has ended.
            self._before |= {(kind, name): one for name, one in good.items()}

    def accepted(self, kind: ResourceType, sent: Collection[Resource]) -> bool:
        """Note what the client has taken over; tell whether that has ended a search."""
        if self.group.idle and not (self._searches or self._searched or self._retries or self._before):
            return False
        for one in sent:
            version = (one.key, one.version)
            self._trials.pop(version, None)
            self._retries.forget(version)
            self._before.pop(one.key, None)
        self.group.accepted(self.node, sent)
        search = self._searches.get(kind)
        if search is None:
            self._searched.pop(kind, None)
            return False
        search.accepted(sent)
        culprit = search.culprit
        if culprit is None:
            return False
        # All others were accepted: this one is left.
        self.reject(culprit, search.message, search.good.get(culprit.name))
        self.end_search(kind)
        return True

    def end_search(self, kind: ResourceType) -> None:
        """Let go of what waited for a search."""
        if self._searches.pop(kind, None) is not None:
            self.group.search_ended(self.node, kind)

    def call_off(self, kind: ResourceType) -> None:
        """End a search that was overtaken by events; it says nothing about who rejects on and on."""
        self._searched[kind] = self._searched.get(kind, 1) - 1
        self.end_search(kind)

    def abandon(self) -> None:
        """End what is under way, for the node's last stream has ended."""
        self._searches.clear()
        self._trials.clear()

    def reject(self, resource: Resource, message: str, good: Resource | None) -> None:
        """Never send this version again; let `good` stand in for it. Where the client's surroundings are to
        blame, try again much later.
        """
        self._own.add(resource, message, good)
        version = (resource.key, resource.version)
        self._trials.pop(version, None)
        if not blames_environment(message):
            self.group.rejected(self.node, resource, message, good)
            return
        self.group.acquit([version])
        self._retries.note(version)

    def tick(self, now: float) -> None:
        """Try again what is due, and give up searches and trials that lead nowhere."""
        for version in self._retries.due_at(now, self.node):
            self._own.drop(version)
        for kind, search in tuple(self._searches.items()):
            if search.deadline is None:
                search.deadline = now + SEARCH_SECONDS
            elif now >= search.deadline:
                for one in search.suspects:
                    self.reject(one, search.message, search.good.get(one.name))
                self.end_search(kind)
        for version, at in tuple(self._trials.items()):
            if at is None:
                self._trials[version] = now + TRIAL_SECONDS
            elif now >= at:
                del self._trials[version]
                self.group.acquit([version])

    def due(self) -> float | None:
        """Tell when `tick` has something to do; what is due already has been done."""
        if not (self._retries or self._searches or self._trials):
            return None
        deadlines = (search.deadline for search in self._searches.values())
        times = (self._retries.next_at, *deadlines, *self._trials.values())
        return min((at for at in times if at is not None), default=None)

    def distrust(self, kind: ResourceType, names: Iterable[str]) -> None:
        """Believe nothing that the client says of this type, of which it may have these names."""
        self.distrusted.setdefault(kind, set()).update(names)

    def rejected(self, resource: Resource) -> str | None:
        """Return the client's words if it rejected this very version."""
        return self._own.message(resource)

    def held(self) -> Iterator[tuple[Reference, str, str]]:
        """List the versions that this node has rejected, with its words."""
        return self._own.versions()

    def release(self, key: Reference) -> None:
        """Forget the rejections of one resource, so that it is tried again."""
        self._own.release(key)
        self._retries.forget_all(key)
