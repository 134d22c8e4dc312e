"""What a client has for a time only, and when it has to hear that it lives on.

A Delta stream notes what it sends and takes out what is due (`Snapshot -> Response`). A heartbeat goes at a
third of the time to live, so that one that is late does no harm. It knows no clock; nothing is sent here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from xds.ledger import Ledger
from xds.placeholders import heartbeat
from xds.resource import Resource, ResourceType
from xds.snapshot import Snapshot

BEATS: Final = 3
"""So many heartbeats fit into a time to live."""
AT_ONCE: Final = float("-inf")


@dataclass(slots=True)
class Heartbeats:
    """When the next one of each resource goes, by type and name."""

    _at: dict[ResourceType, dict[str, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._at)

    def sent(self, kind: ResourceType, sent: Mapping[str, Resource | None], now: float) -> None:
        """Note what a response brings: those that live for a time do so from now on."""
        for name, one in sent.items():
            if one is not None and one.ttl_seconds:
                self._at.setdefault(kind, {})[name] = now + one.ttl_seconds / BEATS

    def told(self, kind: ResourceType, names: Iterable[str]) -> None:
        """Note what a client that comes back has already: how long still, nobody knows."""
        self._at.setdefault(kind, {}).update(dict.fromkeys(names, AT_ONCE))

    def due(self, ledgers: Iterable[Ledger]) -> float | None:
        """Tell when the next heartbeat of these types goes."""
        times = (min(at.values()) for ledger in ledgers if (at := self._at.get(ledger.type)))
        return min(times, default=None)

    def ripe(self, ledger: Ledger, snapshot: Snapshot, now: float) -> list[Resource]:
        """List what is to be renewed now; what the client has not, or has for ever, is forgotten."""
        at, found = self._at.get(ledger.type, {}), []
        resources = ledger.view(snapshot)
        for name in [name for name, time in at.items() if time <= now]:
            one = resources.get(name)
            if one is None or not one.ttl_seconds or name in ledger.behind:
                del at[name]
            else:
                found.append(one)
        return found

    def take(self, ledger: Ledger, snapshot: Snapshot, now: float) -> list[Resource]:
        """Return the heartbeats that go now, and note when their next ones do."""
        found = self.ripe(ledger, snapshot, now)
        self.sent(ledger.type, {one.name: one for one in found}, now)
        return [heartbeat(one) for one in found]
