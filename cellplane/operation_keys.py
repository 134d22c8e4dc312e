"""Where replicas of the control plane keep what they tell of themselves: their Envoys, and the pushes.

Beside the topology's keys, not below them: no View may change because an Envoy acknowledged something. Keys
of the fleet live under their replica's lease. It never looks at a value. Beside `Event -> View -> Snapshot`.

    /cellplane/v1-fleet/694d8/about                    a replica, by its lease
    /cellplane/v1-fleet/694d8/nodes/0003               some of its Envoys
    /cellplane/v1-pushes/records/0000000000001234-3fa9c2d1           a push, in the order of revisions
    /cellplane/v1-pushes/acks/0000000000001234-3fa9c2d1/edge-a-77    what one replica saw of it
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from topology.keys import Keyspace


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """The keys of what replicas tell of their Envoys."""

    root: str

    @classmethod
    def beside(cls, keyspace: Keyspace) -> FleetKeys:
        """Give the keys beside those of a topology."""
        return cls(f"{keyspace.prefix}-fleet/")

    def about(self, lease: int) -> str:
        """Spell the key of a replica's own record."""
        return f"{self.root}{lease:x}/about"

    def part(self, lease: int, number: int) -> str:
        """Spell the key of a part of its nodes."""
        return f"{self.root}{lease:x}/nodes/{number:04d}"

    def parse(self, key: str) -> tuple[str, bool] | None:
        """Give the lease in a key as written there, and whether it is the replica's own record."""
        lease, _, rest = key.removeprefix(self.root).partition("/")
        if not key.startswith(self.root) or not lease:
            return None
        if rest == "about":
            return lease, True
        return (lease, False) if rest.startswith("nodes/") else None


@dataclass(frozen=True, slots=True)
class PushKeys:
    """The keys of pushes. A push is named by its revision and its id."""

    root: str

    @classmethod
    def beside(cls, keyspace: Keyspace) -> PushKeys:
        """Give the keys beside those of a topology."""
        return cls(f"{keyspace.prefix}-pushes/")

    def record(self, name: str) -> str:
        """Spell the key of a push."""
        return f"{self.root}records/{name}"

    def acks(self, name: str, replica: str) -> str:
        """Spell the key of what one replica saw of a push."""
        return f"{self.root}acks/{name}/{quote(replica, safe='')}"

    def parse(self, key: str) -> tuple[str, str] | None:
        """Give the push in a key, and the replica in that of what one saw; nothing for the push itself."""
        kind, _, rest = key.removeprefix(self.root).partition("/")
        name, _, replica = rest.partition("/")
        if not key.startswith(self.root) or not name:
            return None
        if kind == "records" and not replica:
            return name, ""
        return (name, unquote(replica)) if kind == "acks" and replica else None
