"""What control planes have told of their Envoys, asked about one revision."""

from __future__ import annotations

from cellplane.move_fleet import ToldFleet
from tests.cellplane.fleets import synced
from tests.cellplane.test_fleet_wide import tell
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.moves.fleet import Reached
from xds.status import Fleet


async def test_it_names_who_has_not_acknowledged() -> None:
    store, told = MemoryStore(), Fleet()
    assert await ToldFleet(store, Keyspace()).reached(8) == Reached(0)
    synced(told, "edge-1", revision=8)
    synced(told, "edge-2", revision=6)
    await tell(store, told, revision=8)
    assert await ToldFleet(store, Keyspace()).reached(6) == Reached(2)
    assert await ToldFleet(store, Keyspace()).reached(8) == Reached(2, ("edge-2",))


async def test_a_control_plane_that_is_behind_tells_newcomers_what_was_before() -> None:
    store, told = MemoryStore(), Fleet()
    synced(told, "edge-1", revision=8)
    await tell(store, told, revision=7)
    (late,) = (await ToldFleet(store, Keyspace()).reached(8)).behind
    assert late == "those of control plane b, which publishes revision 7"


async def test_a_store_that_is_away_is_no_fleet_without_envoys() -> None:
    store = MemoryStore()
    store.inject(Faults(unreachable=True))
    assert "etcd cannot be read" in (await ToldFleet(store, Keyspace()).reached(1)).problem
