"""How a node stands, in one word with its time; and nodes written down and read again."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass

import pytest

from cellplane.fleet_node import node_body
from cellplane.fleet_record import TYPES, NodeRecord, decode_part, encode_part
from tests.cellplane.fleets import connected, response, synced
from xds.hold_book import NodeHold
from xds.order import ORDER
from xds.resource import CLUSTER
from xds.status import Fleet


@dataclass
class Clock:
    now: float = 50.0

    def __call__(self) -> float:
        return self.now


def test_the_types_are_those_that_streams_know() -> None:
    assert set(TYPES) == {step.type.name for step in ORDER}


def record(fleet: Fleet, name: str = "n", target: int = 7, holds: tuple[NodeHold, ...] = ()) -> NodeRecord:
    node = fleet.node(name)
    assert node is not None
    return NodeRecord(body=node_body(node, holds), replica="a", target=target)


def stands(fleet: Fleet, holds: tuple[NodeHold, ...] = ()) -> tuple[str, float]:
    status = record(fleet, holds=holds).types["cluster"]
    return status["state"], status["since"]


def test_a_type_goes_from_not_sent_to_stale_to_synced() -> None:
    clock = Clock()
    fleet = Fleet(clock)
    stream, sent = connected(fleet, "n"), response()
    clock.now = 51
    assert stands(fleet) == ("NOT SENT", 50)
    stream.sent(sent)
    clock.now = 52
    assert stands(fleet) == ("STALE", 51)
    stream.acknowledged(sent)
    clock.now = 53
    assert stands(fleet) == ("SYNCED", 52)


def test_one_that_had_all_when_it_came_is_synced_though_nothing_was_sent() -> None:
    fleet = Fleet(lambda: 50.0)
    connected(fleet, "n").settled(7)
    assert stands(fleet) == ("SYNCED", 50)
    assert record(fleet).state == "SYNCED"


def test_a_rejection_stands_until_something_better_is_acknowledged() -> None:
    clock = Clock()
    fleet = Fleet(clock)
    stream = synced(fleet, "n")
    clock.now = 60
    bad, good = response("8"), response("9")
    stream.sent(bad)
    stream.rejected(bad, ("cell-1",), "no such thing")
    clock.now = 61
    assert stands(fleet) == ("REJECTED", 60)
    stream.sent(good)
    stream.acknowledged(good)
    assert stands(fleet) == ("SYNCED", 61)


def test_what_is_held_for_the_node_alone_stays_a_rejection_and_what_is_held_for_all_does_not() -> None:
    clock = Clock()
    fleet = Fleet(clock)
    stream, bad, rest = synced(fleet, "n"), response("8"), response("9")
    stream.sent(bad)
    stream.rejected(bad, ("cell-1",), "no such thing")
    stream.sent(rest)
    stream.acknowledged(rest)
    alone = NodeHold((CLUSTER, "cell-1"), "v1", "no such thing", for_group=False)
    everybody = NodeHold((CLUSTER, "cell-1"), "v1", "no such thing", for_group=True)
    assert stands(fleet, (alone,))[0] == "REJECTED"
    assert stands(fleet, (everybody,))[0] == "SYNCED"
    assert [hold["scope"] for hold in record(fleet, holds=(alone, everybody)).held] == ["node", "group"]


def test_what_was_rejected_and_taken_back_is_over_though_nothing_more_was_sent() -> None:
    clock = Clock()
    fleet = Fleet(clock)
    stream, bad = synced(fleet, "n"), response("8")
    clock.now = 60
    stream.sent(bad)
    stream.rejected(bad, ("cell-1",), "no such thing")
    hold = NodeHold((CLUSTER, "cell-1"), "v1", "no such thing", for_group=True)
    clock.now = 61
    stream.settled(8)
    assert stands(fleet, (hold,)) == ("REJECTED", 60), "it goes on with what it had"
    clock.now = 62
    stream.settled(9)
    assert stands(fleet) == ("SYNCED", 62)
    assert record(fleet, target=9).state == "SYNCED"


def test_a_node_stands_as_its_worst_type_or_stale_where_it_is_behind() -> None:
    fleet = Fleet()
    synced(fleet, "n", revision=7)
    assert (record(fleet, target=7).state, record(fleet, target=7).lag) == ("SYNCED", 0)
    assert (record(fleet, target=9).state, record(fleet, target=9).lag) == ("STALE", 2)
    assert record(fleet, target=5).lag == 0, "its replica published nothing newer"


def test_what_an_envoy_says_is_kept_in_bounds() -> None:
    fleet = Fleet()
    stream, bad = connected(fleet, "n"), response()
    stream.sent(bad)
    stream.rejected(bad, [f"cell-{n}" for n in range(30)], "x" * 5000)
    nack = record(fleet).types["cluster"]["last_nack"]
    assert (len(nack["names"]), len(nack["message"])) == (20, 1000)


def test_a_record_is_what_it_was_after_json() -> None:
    fleet = Fleet()
    synced(fleet, "n")
    before = record(fleet)
    after = NodeRecord.of_json(json.loads(json.dumps(before.to_json())))
    assert (after.id, after.replica, after.target, after.state) == ("n", "a", 7, "SYNCED")
    assert after.types == before.types


def test_parts_are_small_and_read_back_as_they_were() -> None:
    clock, fleet = Clock(), Fleet()
    fleet.wall_clock = clock
    chance = random.Random(1)
    for number in range(200):
        clock.now = 1_700_000_000 + chance.random() * 1e6
        synced(fleet, f"edge-{number:04d}")
    bodies = [node_body(node, ()) for node in fleet.nodes()]
    value = encode_part(bodies)
    assert decode_part(value) == json.loads(json.dumps(bodies))
    assert encode_part(bodies) == value
    assert len(value) < 100 * len(bodies), "a thousand nodes are a small fraction of what etcd takes"


@pytest.mark.parametrize("value", [b"", b"{}", zlib.compress(b"{}"), zlib.compress(b"[")])
def test_what_is_no_part_is_said_to_be_none(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_part(value)
