"""Where replicas of the control plane keep what they tell of themselves: their Envoys, and the pushes.

Beside the topology's keys, not below them: no View may change because an Envoy acknowledged something. Keys
of the fleet live under their replica's lease. It never looks at a value. Beside `Event -> View -> Snapshot`.

    /cellplane/v1-fleet/694d8/about                    a replica, by its lease
    /cellplane/v1-fleet/694d8/nodes/0003               some of its Envoys
"""

from __future__ import annotations

from dataclasses import dataclass

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
