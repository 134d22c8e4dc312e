"""The whole fleet, as any replica tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from cellplane.fleet_node import node_body
from cellplane.fleet_record import encode_part
from cellplane.fleet_wide import FleetReader
from cellplane.operation_keys import FleetKeys
from tests.cellplane.fleets import synced
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.store import Txn
from xds.hold_book import HoldBook
from xds.status import Fleet

KEYS = FleetKeys.beside(Keyspace())
OTHER = 0xB


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def about(name: str, revision: int) -> dict[str, object]:
    return {"replica": name, "revision": revision, "nodes": 1, "ready": True, "stale": False}


async def tell(store: MemoryStore, fleet: Fleet, revision: int = 8) -> None:
    """Write what replica b would: its nodes in two parts."""
    bodies = [node_body(node, ()) for node in fleet.nodes()]
    said = json.dumps({**about("b", revision), "written_at": 99.0}).encode()
    puts = [(KEYS.about(OTHER), said)]
    puts += [(KEYS.part(OTHER, number), encode_part([body])) for number, body in enumerate(bodies)]
    await store.commit(Txn(puts=tuple(puts)))


def reader(store: MemoryStore, own: Fleet, clock: Clock | None = None) -> FleetReader:
    return FleetReader(store, KEYS, own, HoldBook(), lambda: about("a", 7), lambda: 0xA, clock or Clock())


async def test_it_joins_ones_own_nodes_with_those_of_others() -> None:
    store, own, other = MemoryStore(), Fleet(), Fleet()
    synced(own, "mine", revision=7)
    synced(other, "theirs-1", revision=8)
    synced(other, "theirs-2", revision=6)
    await tell(store, other)
    whole = await reader(store, own).read()

    assert [(node.id, node.replica, node.state, node.lag) for node in whole.nodes] == [
        ("mine", "a", "SYNCED", 0),
        ("theirs-1", "b", "SYNCED", 0),
        ("theirs-2", "b", "STALE", 2),
    ]
    assert [(each.name, each.revision, each.written_at) for each in whole.replicas] == [
        ("a", 7, None),
        ("b", 8, 99.0),
    ]
    assert (whole.revision, whole.problem) == (8, "")
    page = json.loads(json.dumps(whole.to_json()))
    assert [node["id"] for node in page["nodes"]] == ["mine", "theirs-1", "theirs-2"]


async def test_a_node_that_moved_is_where_it_connected_last() -> None:
    store, own, other = MemoryStore(), Fleet(lambda: 20.0), Fleet(lambda: 10.0)
    synced(own, "edge")
    synced(other, "edge", revision=8)
    await tell(store, other)
    assert [(node.id, node.replica) for node in (await reader(store, own).read()).nodes] == [("edge", "a")]


async def test_what_one_told_oneself_is_not_taken_twice() -> None:
    store, own = MemoryStore(), Fleet()
    stale = encode_part([{"id": "gone"}])
    await store.commit(Txn(puts=((KEYS.about(0xA), b"{}"), (KEYS.part(0xA, 0), stale))))
    whole = await reader(store, own).read()
    assert (whole.nodes, len(whole.replicas)) == ((), 1)


async def test_the_store_is_asked_again_only_after_a_while() -> None:
    store, other, clock = MemoryStore(), Fleet(), Clock()
    asks = reader(store, Fleet(), clock)
    assert (await asks.read()).nodes == ()
    synced(other, "theirs")
    await tell(store, other)
    assert (await asks.read()).nodes == ()
    clock.now = 0.5
    assert [node.id for node in (await asks.read()).nodes] == ["theirs"]


async def test_without_a_store_it_answers_for_its_own_and_says_so() -> None:
    store, own = MemoryStore(), Fleet()
    synced(own, "mine")
    store.inject(Faults(unreachable=True))
    whole = await reader(store, own).read()
    assert [node.id for node in whole.nodes] == ["mine"]
    assert "other replicas and their Envoys are not shown" in whole.problem


@pytest.mark.parametrize("value", [b"{", b"[]", b"{}"])
async def test_what_cannot_be_read_is_named(value: bytes) -> None:
    store = MemoryStore()
    await store.commit(Txn(puts=((KEYS.about(OTHER), value),)))
    assert "cannot be read" in (await reader(store, Fleet()).read()).problem
