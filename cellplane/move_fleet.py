"""Whether every Envoy of every control plane has acknowledged a revision, as these have told the store.

The leader of moves asks it. It reads what `fleet status` shows and writes nothing. `Snapshot -> Response`, on
its way back to the third road.
"""

from __future__ import annotations

from cellplane.fleet_wide import FleetReader
from cellplane.operation_keys import FleetKeys
from topology.keys import Keyspace
from topology.moves.fleet import Reached
from topology.store import Store
from xds.hold_book import HoldBook
from xds.status import Fleet

_OWN = "0"  # the lease of a replica that serves no Envoy


class ToldFleet:
    """The fleet as control planes tell of it. One that died counts no more when its lease is over."""

    def __init__(self, store: Store, keyspace: Keyspace) -> None:
        about = {"replica": "", "revision": 0}
        keys = FleetKeys.beside(keyspace)
        self._reader = FleetReader(store, keys, Fleet(), HoldBook(), lambda: about, lambda: 0)

    async def reached(self, revision: int, /) -> Reached:
        """Say who has acknowledged everything up to a revision of the topology."""
        fleet = await self._reader.read()
        late = [node.id for node in fleet.nodes if node.settled_revision < revision]
        # Whoever connects to one that is behind is told what was before.
        late += [
            f"those of control plane {replica.name}, which publishes revision {replica.revision}"
            for replica in fleet.replicas
            if replica.lease != _OWN and replica.revision < revision
        ]
        return Reached(len(fleet.nodes), tuple(late), fleet.problem)
