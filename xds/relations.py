"""How the types of one stream depend on one another: who waits for whom, who keeps whom alive, who follows
whom.

A stream asks it while it collects what to say (`Snapshot -> Response`). It applies the table of `order` to
the ledgers; it sends nothing and changes a ledger only by what that table says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from xds.copies import UNKNOWN, may_be_absent
from xds.ledger import Ledger
from xds.resource import CLUSTER, ENDPOINT, Reference, Resource, ResourceType
from xds.snapshot import Snapshot

WARMING_SECONDS: Final = 15.0
"""So long Envoy waits for the endpoints of a cluster, and then does without."""


@dataclass(slots=True)
class Relations:
    """The ledgers of a stream, in the order in which their types take turns."""

    removal_grace_seconds: float
    aggregated: bool = True
    """Whether all types may be asked for on this stream."""
    came_warming: bool = False
    """Whether the client has clusters that it has yet to ask for."""
    ledgers: dict[ResourceType, Ledger] = field(default_factory=dict)
    _patience_ends: float | None = None
    """When who has not asked for clusters has none that warm."""
    _patient: bool = True

    def _others(self, kinds: Iterable[ResourceType]) -> list[Ledger]:
        # Types that were not asked for gate nothing: what is sent of them is dropped without an answer.
        return [ledger for kind in kinds if (ledger := self.ledgers.get(kind)) is not None]

    def gate_is_open(self, ledger: Ledger, snapshot: Snapshot) -> bool:
        """Tell whether all that was sent of the types before this one has been acknowledged, and clusters
        have been asked for by who has some.
        """
        after = ledger.step.after
        if CLUSTER in after and self._clusters_are_to_come and snapshot.of_type(CLUSTER):
            return False
        return not any(
            other.in_flight is not None and other.in_flight.blocking for other in self._others(after)
        )

    @property
    def _clusters_are_to_come(self) -> bool:
        """Tell whether the client is about to ask for clusters: while some warm, Envoy does not, and asks
        for all else.

        Whoever tells no endpoints of before may as well have clusters of its own and never ask for ours. A
        warming one asks for them before it acknowledges the last endpoints that it has waited for.
        """
        if not (self.aggregated and self._patient) or CLUSTER in self.ledgers:
            return False
        endpoints = self.ledgers.get(ENDPOINT)
        return self.came_warming or (endpoints is not None and not endpoints.settled)

    def tick(self, now: float) -> None:
        """Wait no longer for clusters to be asked for than Envoy warms them."""
        if self._patience_ends is None:
            self._patience_ends = now + WARMING_SECONDS
        self._patient = now < self._patience_ends

    def lacking(self, ledger: Ledger, snapshot: Snapshot) -> list[Reference]:
        """List what exists, but may not be at the client: whoever names it has to wait."""
        found: list[Reference] = []
        for other in self._others(ledger.step.after):
            if other.behind:
                resources = other.view(snapshot)
                found += [
                    (other.type, name)
                    for name, has in other.behind.items()
                    if name in resources and may_be_absent(has)
                ]
        return found

    def stands(self, ledger: Ledger, stand_in: Resource, snapshot: Snapshot) -> bool:
        """Tell whether all that a stand-in names is there still; of what the snapshot itself has that is
        sure.
        """
        others = {other.type: other for other in self._others(ledger.step.after)}
        return all(
            name in snapshot.of_type(kind)
            for kind, name in stand_in.references
            if kind in others and name in others[kind].subscription
        )

    def removable(self, ledger: Ledger, name: str, now: float) -> bool:
        """Tell whether nobody names this any more, and has not for a while."""
        at = ledger.leaving.get(name)
        if at is not None:
            return now >= at
        key = (ledger.type, name)
        others = self._others(ledger.step.removed_after)
        if any(other.may_name(key) for other in others):
            return False
        if any(other.lingers_on(key) for other in others):
            ledger.deferred.add(name)
            return False
        ledger.deferred.discard(name)
        if not ledger.step.removal_grace or self.removal_grace_seconds <= 0.0:
            return True
        ledger.leaving[name] = now + self.removal_grace_seconds
        return False

    def due(self) -> float | None:
        """Tell when the next grace is over, or the patience with who has yet to ask for clusters."""
        first = self._patience_ends if self._clusters_are_to_come else None
        for one in self.ledgers.values():
            if one.leaving and not one.in_flight:
                at = min(one.leaving.values())
                first = at if first is None else min(first, at)
        return first

    def follow(self, children: Iterable[Reference], snapshot: Snapshot) -> None:
        """Make the children of changed parents go out again."""
        for kind, name in children:
            child = self.ledgers.get(kind)
            if child is not None:
                child.follow(name, snapshot)

    def finds_warming(self, ledger: Ledger) -> bool:
        """Tell whether a client waits for endpoints that it had when it came, and remember it: while clusters
        warm, Envoy asks for no clusters, so on an aggregated stream its endpoints come first.
        """
        found = self.aggregated and ledger.type is ENDPOINT and CLUSTER not in self.ledgers
        self.came_warming |= found
        return found

    def recall(self, ledger: Ledger, snapshot: Snapshot) -> None:
        """Open what the node's last stream left unanswered, and what parents wait for that left before."""
        for name in ledger.holds.lost.pop(ledger.type, ()):
            if name in ledger.subscription:
                ledger.behind[name] = UNKNOWN
        for parent in self.ledgers.values():
            for kind, name in parent.in_flight.children if parent.in_flight else ():
                if kind is ledger.type and name not in ledger.behind:
                    ledger.follow(name, snapshot)
