"""What the public harness leaves out, over raw gRPC: rejections, warming, order, reconnects, wildcards,
limits, errors.

The letters are those of the list in this folder's README.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode, aio

from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_components_pb2
from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.certificates import Authority
from tests.conversation import Talk, Variant, over_grpc
from tests.xds.configuration import both, cluster, endpoints, listener, routes, snapshot
from tests.xds.stage import (
    GROUP,
    WITHIN,
    Stage,
    cache_of,
    delta,
    delta_request,
    ending,
    heard,
    serving,
    sotw_request,
)
from xds.errors import ResourceError
from xds.nodes import Identity, Node, Refusal
from xds.options import ServerOptions
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, RUNTIME, VIRTUAL_HOST, Resource, ResourceType
from xds.snapshot import Snapshot
from xds.tls import ServerTls

VARIANTS: tuple[Variant, ...] = ("delta", "sotw")
each_variant = pytest.mark.parametrize("variant", VARIANTS)
NO_GRACE = ServerOptions(removal_grace_seconds=0.0)


def talking(stage: Stage, variant: Variant) -> AbstractAsyncContextManager[Talk]:
    return over_grpc(variant, stage.port)


@asynccontextmanager
async def talk_over(
    variant: Variant, first: Snapshot, options: ServerOptions | None = None
) -> AsyncIterator[tuple[Talk, Callable[[Snapshot], object]]]:
    """Serve a snapshot to one client; give its side, and how to publish the next."""
    async with serving(cache_of(first), options=options) as stage, talking(stage, variant) as talk:
        yield talk, lambda new: stage.cache.publish(GROUP, new)


async def takes(
    talk: Talk, kind: ResourceType, *names: str, removed: tuple[str, ...] = ()
) -> Mapping[str, str]:
    """Expect a response, accept it, and return its versions."""
    said = await talk.expect.sends(kind, *names, removed=removed)
    await talk.envoy.acks(kind)
    return said.versions


# --- N: rejections


@each_variant
async def test_n1_what_was_rejected_is_not_sent_again(variant: Variant) -> None:
    async with talk_over(variant, snapshot(1, both("a"))) as (talk, publish):
        await talk.envoy.asks(CLUSTER)
        await takes(talk, CLUSTER, "a")
        publish(snapshot(2, both("a", "bad")))
        await talk.expect.sends(CLUSTER, *(("bad",) if variant == "delta" else ("a", "bad")))
        await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no")
        await takes(talk, CLUSTER, "a")
        await talk.expect.silence()
        # Nor because something else changes.
        publish(snapshot(3, both("a", seconds=2), both("bad")))
        await takes(talk, CLUSTER, "a")
        await talk.expect.silence()


@each_variant
async def test_n2_what_was_mended_is_sent(variant: Variant) -> None:
    async with talk_over(variant, snapshot(1, both("bad"))) as (talk, publish):
        await talk.envoy.asks(CLUSTER)
        await talk.expect.sends(CLUSTER, "bad")
        await talk.envoy.nacks(CLUSTER, "Error adding/updating cluster(s) bad: no")
        await talk.expect.silence()
        publish(snapshot(2, both("bad", seconds=2)))
        await takes(talk, CLUSTER, "bad")
        await talk.expect.silence()


async def test_n3_after_a_rejection_what_a_client_says_it_has_is_not_believed() -> None:
    async with serving(cache_of(snapshot(1, listener("l1"), listener("l2")))) as stage:
        async with talking(stage, "delta") as talk:
            await talk.envoy.asks(LISTENER)
            had = await takes(talk, LISTENER, "l1", "l2")
            stage.cache.publish(GROUP, snapshot(2, listener("l2"), listener("bad"), listener("l4")))
            await talk.expect.sends(LISTENER, "bad", "l4", removed=("l1",))
            await talk.envoy.nacks(LISTENER, "Error adding/updating listener(s) bad: no")
            await talk.expect.sends(LISTENER, "l2", "l4", removed=("l1",))
        stage.cache.publish(GROUP, snapshot(3, listener("l1"), listener("l2")))
        # It has dropped l1 and taken over l4, and says that all is as it was.
        async with talking(stage, "delta") as again:
            await again.envoy.asks(LISTENER, has=had)
            await takes(again, LISTENER, "l1", "l2", removed=("l4",))
            await again.expect.silence()


# --- W: warming


async def warmed(talk: Talk) -> None:
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a")
    await talk.envoy.asks(ENDPOINT, "a")
    await takes(talk, ENDPOINT, "a")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()


async def test_w1_the_endpoints_of_a_changed_cluster_follow_it() -> None:
    async with talk_over("delta", snapshot(1, both("a"))) as (talk, publish):
        await warmed(talk)
        publish(snapshot(2, both("a", seconds=2)))
        # Envoy accepts the cluster when these have come, and doesn't ask for them.
        await talk.expect.sends(CLUSTER, "a")
        await takes(talk, ENDPOINT, "a")
        await talk.envoy.acks(CLUSTER)
        await talk.expect.silence()


@each_variant
@pytest.mark.parametrize("only", [ENDPOINT, None], ids=["a stream of their own", "the aggregated stream"])
async def test_w1_they_do_also_on_another_stream(variant: Variant, only: ResourceType | None) -> None:
    async with (
        serving(cache_of(snapshot(1, both("a", "b")))) as stage,
        over_grpc(variant, stage.port, only=CLUSTER) as clusters,
        over_grpc(variant, stage.port, only=only) as of_each,
        over_grpc(variant, stage.port, only=only, node="another") as of_another,
    ):
        await clusters.envoy.asks(CLUSTER)
        await takes(clusters, CLUSTER, "a", "b")
        for talk in (of_each, of_another):
            await talk.envoy.asks(ENDPOINT, "a")
            await takes(talk, ENDPOINT, "a")
        for step in (2, 3):
            changed = snapshot(step, both("a", "b", seconds=step))
            stage.cache.publish(GROUP, changed)
            await clusters.expect.sends(CLUSTER, "a", "b")
            # Not for the one that nobody asked for, and before the clusters are accepted.
            await takes(of_each, ENDPOINT, "a")
            await clusters.envoy.acks(CLUSTER)
        # A change of endpoints alone is sent once.
        stage.cache.publish(GROUP, snapshot(4, both("a", "b", seconds=3, port=81)))
        for talk in (of_each, of_another):
            await takes(talk, ENDPOINT, "a")
            await talk.envoy.asks(ENDPOINT, *(("b",) if variant == "delta" else ("a", "b")))
            await takes(talk, ENDPOINT, "b")


async def test_w2_endpoints_are_sent_again_to_who_asks_by_the_same_nonce() -> None:
    async with talk_over("sotw", snapshot(1, both("a"))) as (talk, publish):
        await warmed(talk)
        publish(snapshot(2, both("a", seconds=2)))
        await talk.expect.sends(CLUSTER, "a")
        await takes(talk, ENDPOINT, "a")
        await talk.envoy.acks(ENDPOINT)
        await takes(talk, ENDPOINT, "a")
        # Once for a change: or two that wait for each other would never end.
        await talk.envoy.acks(ENDPOINT)
        await talk.expect.silence()


@each_variant
async def test_w3_a_runtime_layer_that_is_missing_is_answered(variant: Variant) -> None:
    async with talk_over(variant, snapshot(1)) as (talk, _):
        await talk.envoy.asks(RUNTIME, "layer")
        if variant == "delta":
            await takes(talk, RUNTIME, removed=("layer",))
        else:
            said = await talk.expect.sends(RUNTIME, "layer")
            assert not said.resources["layer"].layer.fields


# --- O: order


@each_variant
async def test_o1_nobody_has_a_route_to_a_cluster_that_it_lacks(variant: Variant) -> None:
    """Twelve clients, each as slow as it likes, while a route moves twenty times and its old cluster goes."""
    moves = 20

    def at(step: int) -> Snapshot:
        return snapshot(step + 1, both(f"c{step}"), listener("l", "r"), routes("r", f"c{step}"))

    async with serving(cache_of(at(0)), options=NO_GRACE) as stage:
        channel = await stage.channel()
        async with asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(client_of_a_move(variant, channel, f"c{moves}")) for _ in range(12)]
            for step in range(1, moves + 1):
                stage.cache.publish(GROUP, at(step))
                await asyncio.sleep(0)
        assert all(client.result() > 0 for client in clients)


async def client_of_a_move(variant: Variant, channel: aio.Channel, last: str) -> int:
    """Follow until the route leads to the last cluster and no other is left; return how many responses it
    took.
    """
    responses = 0
    async with over_grpc(variant, 0, channel=channel) as talk, asyncio.timeout(4 * WITHIN):
        clusters: set[str] = set()
        target = ""
        for kind, names in ((CLUSTER, ()), (LISTENER, ()), (ROUTE, ("r",))):
            await talk.envoy.asks(kind, *names)
        while (target, clusters) != (last, {last}):
            said = await talk.hear()
            assert said is not None
            responses += 1
            talk.last[said.type] = said
            if said.type is CLUSTER:
                clusters = (clusters if variant == "delta" else set()) | set(said.resources)
                clusters -= said.removed
            elif said.type is ROUTE:
                (host,) = said.resources["r"].virtual_hosts
                target = host.name
            assert not target or target in clusters, f"{target} of {clusters}"
            await talk.envoy.acks(said.type)
    return responses


async def test_o2_a_cluster_goes_after_the_route_that_named_it_and_a_grace() -> None:
    grace = 0.2
    first = snapshot(1, both("a", "b"), routes("r", "a"))
    async with talk_over("delta", first, ServerOptions(removal_grace_seconds=grace)) as (talk, publish):
        await talk.envoy.asks(CLUSTER)
        await takes(talk, CLUSTER, "a", "b")
        await talk.envoy.asks(ROUTE, "r")
        await takes(talk, ROUTE, "r")
        publish(snapshot(2, both("b"), routes("r", "b")))
        await talk.expect.sends(ROUTE, "r")
        await talk.expect.silence()
        began = time.monotonic()
        await talk.envoy.acks(ROUTE)
        await takes(talk, CLUSTER, removed=("a",))
        assert time.monotonic() - began >= grace


# --- R: reconnects, and asking again


@each_variant
async def test_r1_another_replica_sends_nothing_to_who_is_current(variant: Variant) -> None:
    async with (
        serving(cache_of(snapshot(1, both("a", "b")))) as one,
        serving(cache_of(snapshot(1, both("b", "a")))) as other,
    ):
        async with talking(one, variant) as talk:
            await talk.envoy.asks(CLUSTER)
            said = await talk.expect.sends(CLUSTER, "a", "b")
            await talk.envoy.acks(CLUSTER)
        async with talking(other, variant) as talk:
            if variant == "delta":
                await talk.envoy.asks(CLUSTER, has=said.versions)
            else:
                await talk.envoy.asks(CLUSTER, version=said.version)
            await talk.expect.silence()


async def test_r2_who_comes_back_is_told_the_difference() -> None:
    same, old = cluster("same"), cluster("old")
    parts = (both("same"), both("old", seconds=2), both("new"))
    async with talk_over("delta", snapshot(1, *parts), NO_GRACE) as (talk, _):
        has = {"same": same.version, "old": old.version, "gone": "0"}
        await talk.envoy.asks(CLUSTER, has=has)
        await takes(talk, CLUSTER, "old", "new", removed=("gone",))
        await talk.expect.silence()


@each_variant
async def test_r3_what_is_asked_for_again_is_sent_again(variant: Variant) -> None:
    async with talk_over(variant, snapshot(1, both("a", "b"))) as (talk, _):
        await talk.envoy.asks(ENDPOINT, "a")
        await takes(talk, ENDPOINT, "a")
        for _again in range(2):
            await talk.envoy.asks(ENDPOINT, *(("b",) if variant == "delta" else ("a", "b")))
            await takes(talk, ENDPOINT, "b")
            await talk.envoy.drops(ENDPOINT, "b")
            await talk.expect.silence()
        if variant == "delta":
            await talk.envoy.asks(ENDPOINT, "a")
            await takes(talk, ENDPOINT, "a")
            await talk.expect.silence()


async def test_r4_a_stale_nonce_brings_its_subscriptions_all_the_same() -> None:
    async with talk_over("delta", snapshot(1, both("a", "b"))) as (talk, publish):
        await talk.envoy.asks(ENDPOINT, "a")
        first = await talk.expect.sends(ENDPOINT, "a")
        await talk.envoy.acks(ENDPOINT)
        publish(snapshot(2, both("a", "b", port=81)))
        await talk.expect.sends(ENDPOINT, "a")
        await talk.envoy.asks(ENDPOINT, "b", nonce=first.nonce)
        await talk.expect.silence()
        # What is stale acknowledges nothing: the answer waits for its turn.
        await talk.envoy.acks(ENDPOINT)
        await takes(talk, ENDPOINT, "b")
        await talk.expect.silence()


@each_variant
async def test_r5_an_unsubscription_that_was_read_holds_for_the_next_change(variant: Variant) -> None:
    """However soon the change follows: 50 times, with nothing in between but the server's word that it has
    read.
    """
    async with serving(cache_of(snapshot(1, both("a", "b")))) as stage, talking(stage, variant) as talk:
        await talk.envoy.asks(ENDPOINT, "a", "b")
        await takes(talk, ENDPOINT, "a", "b")
        for step in range(50):
            await talk.envoy.drops(ENDPOINT, "b")
            await names_asked_for(stage, 1)
            port = 100 + step
            stage.cache.publish(GROUP, snapshot(step + 2, both("a"), both("b", port=port)))
            # If the change had gone out, it would come before the answer to this.
            await talk.envoy.asks(ENDPOINT, *(("b",) if variant == "delta" else ("a", "b")))
            said = await talk.expect.sends(ENDPOINT, "b")
            await talk.envoy.acks(ENDPOINT)
            assert said.version.startswith(str(step + 2))
            await names_asked_for(stage, 2)
        await talk.expect.silence()


async def names_asked_for(stage: Stage, count: int) -> None:
    """Wait until the one client is known to ask for so many names of endpoints."""
    (node,) = stage.server.fleet.nodes()
    async with asyncio.timeout(WITHIN):
        while node.of_type(ENDPOINT).subscribed != count:
            await asyncio.sleep(0)


# --- A: wildcards and aliases


async def test_a1_wildcards_in_delta() -> None:
    async with talk_over("delta", snapshot(1, both("a", "b"))) as (talk, publish):
        await talk.envoy.asks(CLUSTER)
        await takes(talk, CLUSTER, "a", "b")
        await talk.envoy.asks(CLUSTER, "a")
        await takes(talk, CLUSTER, "a")
        publish(snapshot(2, both("a", "b", seconds=2)))
        await takes(talk, CLUSTER, "a", "b")
        await talk.envoy.drops(CLUSTER, "*")
        await talk.expect.silence()
        publish(snapshot(3, both("a", "b", seconds=3)))
        await takes(talk, CLUSTER, "a")
        await talk.envoy.drops(CLUSTER, "a")
        await talk.expect.silence()
        publish(snapshot(4, both("a", "b", seconds=4)))
        await talk.expect.silence()


async def test_a1_wildcards_in_sotw() -> None:
    async with talk_over("sotw", snapshot(1, both("a", "b"))) as (talk, publish):
        await talk.envoy.asks(CLUSTER)
        await takes(talk, CLUSTER, "a", "b")
        await talk.envoy.asks(CLUSTER, "*", "a")
        await takes(talk, CLUSTER, "a", "b")
        await talk.envoy.asks(CLUSTER, "a")
        await talk.expect.silence()
        publish(snapshot(2, both("a", "b", seconds=2)))
        await takes(talk, CLUSTER, "a")
        # No names after some were named are no wildcard.
        await talk.envoy.asks(CLUSTER)
        await talk.expect.silence()
        publish(snapshot(3, both("a", "b", seconds=3)))
        await talk.expect.silence()


async def test_a2_who_asks_by_an_alias_gets_the_name_and_all_aliases() -> None:
    host = route_components_pb2.VirtualHost(name="r/one", domains=["a.test", "b.test"])
    aliases = ("r/a.test", "r/b.test")
    first = snapshot(1, [Resource.of(VIRTUAL_HOST, "r/one", host, aliases=aliases)])
    async with talk_over("delta", first) as (talk, _):
        await talk.envoy.asks(VIRTUAL_HOST, "r/a.test")
        said = await talk.expect.sends(VIRTUAL_HOST, "r/one")
        await talk.envoy.acks(VIRTUAL_HOST)
        assert said.aliases == {"r/one": aliases}
        await talk.envoy.asks(VIRTUAL_HOST, "r/nobody.test")
        said = await talk.expect.sends(VIRTUAL_HOST)
        assert said.missing == {"r/nobody.test"}


# --- M, T: what is missing, what expires


async def test_m1_what_is_missing_is_removed_and_comes_when_it_is_there() -> None:
    async with talk_over("delta", snapshot(1)) as (talk, publish):
        await talk.envoy.asks(ENDPOINT, "z")
        await takes(talk, ENDPOINT, removed=("z",))
        await talk.expect.silence()
        publish(snapshot(2, endpoints("z")))
        await takes(talk, ENDPOINT, "z")
        await talk.expect.silence()


@pytest.mark.parametrize("kind", [ENDPOINT, ROUTE], ids=repr)
def test_t1_a_time_to_live_is_refused_where_its_end_would_crash_an_envoy(kind: ResourceType) -> None:
    with pytest.raises(ResourceError, match="only clusters and listeners expire without harm"):
        Resource.of(kind, "a", b"", ttl_seconds=5.0)


async def test_t1_a_time_to_live_is_told_in_delta_only() -> None:
    name = "l"
    kept = Resource.of(LISTENER, name, listener_pb2.Listener(name=name), ttl_seconds=5.0)
    async with serving(cache_of(snapshot(1, [kept]))) as stage:
        call = await stage.delta()
        await call.write(delta_request(LISTENER.type_url))
        (one,) = (await heard(call)).resources
        assert one.ttl.seconds == 5
        # Heartbeats refresh nothing in SotW (Envoy 1.40), so the listener would be gone in a while.
        call = await stage.sotw()
        await call.write(sotw_request(LISTENER.type_url))
        (body,) = (await heard(call)).resources
        assert body.type_url == LISTENER.type_url


async def test_t1_nothing_expires_at_a_client_of_endpoints_or_routes() -> None:
    parts = (both("a"), listener("l", "r"), routes("r", "a"))
    async with serving(cache_of(snapshot(1, *parts))) as stage:
        for kind, name in ((ENDPOINT, "a"), (ROUTE, "r")):
            call = await stage.delta()
            await call.write(delta_request(kind.type_url, resource_names_subscribe=[name]))
            (one,) = (await heard(call)).resources
            assert not one.HasField("ttl")
            call = await stage.sotw()
            await call.write(sotw_request(kind.type_url, resource_names=[name]))
            (body,) = (await heard(call)).resources
            # A time to live would need a wrapper in SotW, and its end would crash an Envoy.
            assert body.type_url == kind.type_url


# --- L: load


async def test_l1_two_hundred_streams_that_begin_at_once_are_all_served() -> None:
    names = [f"c{number}" for number in range(50)]
    async with serving(cache_of(snapshot(1, both(*names)))) as stage, asyncio.timeout(4 * WITHIN):
        channels = [await stage.channel() for _ in range(10)]

        async def one(number: int) -> int:
            call: Any = delta(channels[number % 10])
            await call.write(delta_request(node=f"n{number}"))
            response = await call.read()
            await call.write(delta_request(node="", response_nonce=response.nonce))
            return len(response.resources)

        assert await asyncio.gather(*map(one, range(200))) == [50] * 200


# --- S, E: who may ask, and what


async def test_s1_a_node_is_who_its_certificate_says(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files, client = authority.issue("server", "127.0.0.1"), authority.issue("client", "edge-1")

    def by_certificate(node: Node, shown: Identity | None) -> str | Refusal:
        known = shown is not None and node.id in shown.dns_names
        return GROUP if known else Refusal(f"{node.id} is not who it says it is")

    tls = ServerTls(certificate=files.cert, key=files.key, client_ca=authority.ca)
    shown = grpc.ssl_channel_credentials(
        authority.ca.read_bytes(), client.key.read_bytes(), client.cert.read_bytes()
    )
    async with serving(cache_of(snapshot(1, both("a"))), by_certificate, tls=tls) as stage:
        channel = await stage.channel(shown)
        honest = delta(channel)
        await honest.write(delta_request(node="edge-1"))
        assert [one.name for one in (await heard(honest)).resources] == ["a"]
        assert await ending(delta(channel), delta_request(node="edge-2")) == (
            StatusCode.PERMISSION_DENIED,
            "edge-2 is not who it says it is",
        )


@each_variant
async def test_e1_an_unknown_type_gets_silence_and_disturbs_no_other(variant: Variant) -> None:
    async with talk_over(variant, snapshot(1, both("a"))) as (talk, _):
        await talk.envoy.asks(CLUSTER)
        await takes(talk, CLUSTER, "a")
        nobodys = "type.googleapis.com/nobody.knows.This"
        if variant == "delta":
            await talk.envoy.says(discovery_pb2.DeltaDiscoveryRequest(type_url=nobodys))
        else:
            await talk.envoy.says(discovery_pb2.DiscoveryRequest(type_url=nobodys))
        await talk.expect.silence()


async def test_e2_who_does_not_name_itself_is_told_to() -> None:
    async with serving(cache_of(snapshot(1, both("a")))) as stage:
        expected = (StatusCode.INVALID_ARGUMENT, "the first request on a stream must name its node")
        assert await ending(await stage.delta(), delta_request(node="")) == expected
        assert await ending(await stage.sotw(), sotw_request(node="")) == expected


async def test_e3_a_request_beyond_the_limit_ends_its_stream_alone() -> None:
    options = ServerOptions(max_request_bytes=10_000)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        channel = await stage.channel()
        good = delta(channel)
        await good.write(delta_request())
        first = await heard(good)
        large = delta_request(resource_names_subscribe=["x" * 20_000])
        assert (await ending(delta(channel), large))[0] is StatusCode.RESOURCE_EXHAUSTED
        await good.write(delta_request(node="", response_nonce=first.nonce))
        stage.cache.publish(GROUP, snapshot(2, both("a", "b")))
        assert [one.name for one in (await heard(good)).resources] == ["b"]
