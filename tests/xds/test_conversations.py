"""The same conversations with a state machine alone and with a server over gRPC: the shell adds nothing and
loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.conversation import MemoryTalk, Talk, Variant, in_memory, over_grpc
from tests.xds.configuration import both, listener, routes, snapshot
from xds.cache import Cache
from xds.nodes import Identity, Node
from xds.options import ServerOptions
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from xds.server import AdsServer
from xds.snapshot import Snapshot

Publish = Callable[[Snapshot], object]
Both = tuple[Talk, Publish]
FIRST = snapshot(1, both("a"), listener("l", "r"), routes("r", "a"))


def group_of(node: Node, identity: Identity | None) -> str:
    return "group"


@pytest.fixture(params=["memory", "grpc"])
async def line(request: pytest.FixtureRequest, variant: Variant) -> AsyncIterator[Both]:
    """Give a conversation, and how to publish to it."""
    if request.param == "memory":
        talk: MemoryTalk = in_memory(variant, FIRST, grace_seconds=0.0)
        yield talk, talk.publishes
        return
    cache = Cache()
    cache.publish("group", FIRST)
    server = AdsServer(cache, group_of, identifier="", options=ServerOptions(removal_grace_seconds=0.0))
    port = await server.start("127.0.0.1:0")
    try:
        async with over_grpc(variant, port) as call:
            yield call, lambda new: cache.publish("group", new)
    finally:
        await server.stop(0.1)


async def everything(talk: Talk) -> None:
    """Ask for all types and take the first snapshot."""
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.asks(ENDPOINT, "a")
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.envoy.acks(CLUSTER)
    await talk.envoy.asks(LISTENER)
    await talk.expect.sends(LISTENER, "l")
    await talk.envoy.acks(LISTENER)
    await talk.envoy.asks(ROUTE, "r")
    await talk.expect.sends(ROUTE, "r")
    await talk.envoy.acks(ROUTE)
    await talk.expect.silence()


@pytest.mark.parametrize("variant", ["delta"])
async def test_a_route_moves_and_its_cluster_goes_in_delta(line: Both) -> None:
    talk, publish = line
    await everything(talk)
    publish(snapshot(2, both("b"), listener("l", "r"), routes("r", "b")))
    await talk.expect.sends(CLUSTER, "b")
    await talk.envoy.asks(ENDPOINT, "b")
    await talk.expect.sends(ENDPOINT, "b")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(ROUTE, "r")
    await talk.expect.silence()
    await talk.envoy.acks(ROUTE)
    await talk.expect.sends(CLUSTER, removed=("a",))
    await talk.envoy.drops(ENDPOINT, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()


@pytest.mark.parametrize("variant", ["sotw"])
async def test_a_route_moves_and_its_cluster_goes_in_sotw(line: Both) -> None:
    talk, publish = line
    await everything(talk)
    publish(snapshot(2, both("b"), listener("l", "r"), routes("r", "b")))
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.asks(ENDPOINT, "a", "b")
    await talk.expect.sends(ENDPOINT, "b")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()
    await talk.envoy.acks(CLUSTER)
    await talk.expect.sends(ROUTE, "r")
    await talk.expect.silence()
    await talk.envoy.acks(ROUTE)
    await talk.expect.sends(CLUSTER, "b")
    await talk.envoy.drops(ENDPOINT, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()


@pytest.mark.parametrize("variant", ["delta", "sotw"])
async def test_a_bad_cluster_is_sent_once(line: Both, variant: Variant) -> None:
    talk, publish = line
    await everything(talk)
    publish(snapshot(2, both("a", "bad"), listener("l", "r"), routes("r", "a")))
    await talk.expect.sends(CLUSTER, *(("bad",) if variant == "delta" else ("a", "bad")))
    await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no")
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()
    publish(snapshot(3, both("a", port=81), both("bad"), listener("l", "r"), routes("r", "a")))
    await talk.expect.sends(ENDPOINT, "a")
    await talk.envoy.acks(ENDPOINT)
    await talk.expect.silence()
