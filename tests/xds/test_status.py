"""The fleet knows what each node was told, and wakes who waits for news."""

from __future__ import annotations

import asyncio

import pytest

from tests.xds.configuration import cluster
from xds.node_status import Nack
from xds.nodes import Node
from xds.resource import CLUSTER
from xds.status import Counters, Fleet
from xds.wire import Composer


def test_streams_report_and_the_fleet_adds_up() -> None:
    fleet = Fleet(wall_clock=lambda: 50.0)
    one = fleet.opened(Node(id="one"), "edge", "delta ADS")
    other = fleet.opened(Node(id="other"), "edge", "delta ADS")
    response = Composer("").delta(CLUSTER, "7", [cluster("a"), cluster("b")], ["c"])
    for stream in (one, other):
        stream.subscribed(CLUSTER, 0, True)
        stream.sent(response)
    one.acknowledged(response)
    one.settled(7)
    other.rejected(response, ("b",), "b: no")
    assert fleet.counters() == Counters(
        streams={"edge": 2},
        responses_sent={"cluster": 2},
        resources_sent={"cluster": 4},
        acks={"cluster": 1},
        nacks={"cluster": 1},
    )
    status = fleet.node("one")
    assert status is not None
    assert (status.settled_revision, status.settled_at) == (7, 50.0)
    types = status.types[CLUSTER]
    assert (types.wildcard, types.sent_version, types.acked_version) == (True, "7", "7")
    assert (types.responses_sent, types.resources_sent, types.removals_sent, types.acks) == (1, 2, 1, 1)
    rejecting = fleet.node("other")
    assert rejecting is not None
    assert rejecting.settled_revision == 0
    assert rejecting.types[CLUSTER].last_nack == Nack(50.0, "7", ("b",), "b: no")
    assert [node["id"] for node in fleet.to_json()["nodes"]] == ["one", "other"]


def test_two_streams_of_a_node_live_side_by_side() -> None:
    fleet = Fleet()
    old = fleet.opened(Node(id="n"), "edge", "delta ADS")
    new = fleet.opened(Node(id="n"), "edge", "delta ADS")
    assert len(fleet.nodes()) == 1
    fleet.closed(old)
    assert [node.node.id for node in fleet.nodes()] == ["n"]
    assert fleet.counters().streams == {"edge": 1}
    fleet.closed(new)
    assert fleet.nodes() == ()
    assert fleet.counters().streams == {}
    assert fleet.node("n") is None


def test_a_revision_is_settled_once() -> None:
    times = iter([1.0, 2.0, 3.0])
    fleet = Fleet(wall_clock=lambda: next(times))
    stream = fleet.opened(Node(id="n"), "edge", "delta ADS")
    stream.settled(5)
    stream.settled(5)
    assert stream.settled_at == 2.0
    stream.settled(6)
    assert stream.settled_at == 3.0


def test_a_rejection_is_logged_with_the_words_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    stream = Fleet().opened(Node(id="n"), "edge", "delta ADS")
    stream.rejected(Composer("").delta(CLUSTER, "7", [cluster("a")]), ("a",), "no such thing")
    assert "nack node=n type=cluster version=7 resources=a message=no such thing" in caplog.text


async def test_who_waits_hears_of_each_change() -> None:
    fleet = Fleet()
    response = Composer("").delta(CLUSTER, "7", [cluster("a")])
    stream = fleet.opened(Node(id="n"), "edge", "delta ADS")
    for happens in (
        lambda: stream.sent(response),
        lambda: stream.acknowledged(response),
        lambda: stream.rejected(response, (), ""),
        lambda: stream.settled(9),
        lambda: fleet.opened(Node(id="m"), "edge", "delta ADS"),
        lambda: fleet.closed(stream),
    ):
        async with asyncio.timeout(5.0), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(fleet.changed())
            tasks.create_task(fleet.changed())
            await asyncio.sleep(0)
            assert not first.done()
            happens()


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    fleet = Fleet()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0):
                await fleet.changed()
    assert not fleet._waiting
