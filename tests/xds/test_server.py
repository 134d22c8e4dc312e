"""The server over real gRPC: whom it serves, whom it turns away and how, and how it goes down."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode, aio, ssl_channel_credentials

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.service.cluster.v3 import cds_pb2_grpc
from pb.envoy.service.endpoint.v3 import eds_pb2_grpc
from pb.envoy.service.extension.v3 import config_discovery_pb2_grpc
from pb.envoy.service.listener.v3 import lds_pb2_grpc
from pb.envoy.service.route.v3 import rds_pb2_grpc, srds_pb2_grpc
from pb.envoy.service.runtime.v3 import rtds_pb2_grpc
from pb.envoy.service.secret.v3 import sds_pb2_grpc
from tests.certificates import Authority
from tests.xds.configuration import both, snapshot
from tests.xds.stage import (
    CLUSTERS,
    NODE,
    WITHIN,
    Stage,
    asked,
    cache_of,
    delta,
    delta_request,
    ending,
    heard,
    serving,
    sotw_request,
)
from xds.cache import Cache
from xds.errors import ListenError
from xds.nodes import Identity, Node, Refusal
from xds.options import ServerOptions
from xds.resource import CLUSTER, ROUTE, TYPES, Resource
from xds.server import AdsServer, _GrpcWire
from xds.session import WireClosedError
from xds.tls import ServerTls

# What a per-type stream serves, by the stubs that Envoy's descriptors give. SotW has no virtual hosts.
METHODS: list[tuple[str, Any, str, str]] = [
    ("cluster", cds_pb2_grpc.ClusterDiscoveryServiceStub, "DeltaClusters", "StreamClusters"),
    ("endpoint", eds_pb2_grpc.EndpointDiscoveryServiceStub, "DeltaEndpoints", "StreamEndpoints"),
    ("listener", lds_pb2_grpc.ListenerDiscoveryServiceStub, "DeltaListeners", "StreamListeners"),
    ("route", rds_pb2_grpc.RouteDiscoveryServiceStub, "DeltaRoutes", "StreamRoutes"),
    (
        "scoped_route",
        srds_pb2_grpc.ScopedRoutesDiscoveryServiceStub,
        "DeltaScopedRoutes",
        "StreamScopedRoutes",
    ),
    ("virtual_host", rds_pb2_grpc.VirtualHostDiscoveryServiceStub, "DeltaVirtualHosts", ""),
    ("secret", sds_pb2_grpc.SecretDiscoveryServiceStub, "DeltaSecrets", "StreamSecrets"),
    ("runtime", rtds_pb2_grpc.RuntimeDiscoveryServiceStub, "DeltaRuntime", "StreamRuntime"),
    (
        "extension_config",
        config_discovery_pb2_grpc.ExtensionConfigDiscoveryServiceStub,
        "DeltaExtensionConfigs",
        "StreamExtensionConfigs",
    ),
]
ONE_OF_EACH = [Resource.of(kind, "one", kind.name.encode()) for kind in TYPES]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with serving(cache_of(snapshot(7, both("a")))) as stage:
        yield stage


async def sent(stage: Stage, kind: str, count: int) -> None:
    """Wait until so many responses of a type left."""
    async with asyncio.timeout(WITHIN):
        while stage.server.fleet.counters().responses_sent.get(kind, 0) < count:
            await stage.server.fleet.changed()


async def closed(stage: Stage) -> None:
    """Wait until no stream is open."""
    async with asyncio.timeout(WITHIN):
        while stage.server.fleet.nodes():
            await stage.server.fleet.changed()


# --- who is served


async def test_rule_11_a_response_says_which_replica_speaks(stage: Stage) -> None:
    response = await asked(await stage.delta(), delta_request())
    assert [one.name for one in response.resources] == ["a"]
    assert (response.type_url, response.system_version_info) == (CLUSTERS, "7")
    assert response.control_plane.identifier == "replica-7"


async def test_rule_1_all_variants_are_served_at_once_and_converge(stage: Stage) -> None:
    clusters: Any = cds_pb2_grpc.ClusterDiscoveryServiceStub(await stage.channel())
    deltas = [await stage.delta(), clusters.DeltaClusters()]
    sotws = [await stage.sotw(), clusters.StreamClusters()]
    for call in deltas:
        first = await asked(call, delta_request())
        await call.write(delta_request(node="", response_nonce=first.nonce))
    for call in sotws:
        first = await asked(call, sotw_request())
        await call.write(sotw_request(node="", response_nonce=first.nonce, version_info=first.version_info))
    status = stage.server.fleet.node(NODE)
    assert status is not None
    async with asyncio.timeout(WITHIN):
        while status.of_type(CLUSTER).acks < 4:
            await stage.server.fleet.changed()
    assert [stream.variant for stream in status.streams] == ["delta ADS", "delta CDS", "sotw ADS", "sotw CDS"]

    stage.cache.publish("edge", snapshot(8, both("a", "b")))
    for call in deltas:
        assert [one.name for one in (await heard(call)).resources] == ["b"]
    for call in sotws:
        bodies = [cluster_pb2.Cluster.FromString(one.value) for one in (await heard(call)).resources]
        assert [one.name for one in bodies] == ["a", "b"]


@pytest.mark.parametrize(("name", "stub", "method", "_"), METHODS, ids=[row[0] for row in METHODS])
async def test_rule_3_a_stream_of_one_delta_type_implies_it(
    name: str, stub: Any, method: str, _: str
) -> None:
    async with serving(cache_of(snapshot(1, ONE_OF_EACH))) as stage:
        call = getattr(stub(await stage.channel()), method)()
        response = await asked(call, delta_request("", resource_names_subscribe=["one"]))
        (one,) = response.resources
        assert (one.name, one.resource.value) == ("one", name.encode())
        assert response.type_url == one.resource.type_url


SOTW_METHODS = [(name, stub, method) for name, stub, _, method in METHODS if method]


@pytest.mark.parametrize(("name", "stub", "method"), SOTW_METHODS, ids=[row[0] for row in SOTW_METHODS])
async def test_rule_3_a_stream_of_one_sotw_type_implies_it(name: str, stub: Any, method: str) -> None:
    async with serving(cache_of(snapshot(1, ONE_OF_EACH))) as stage:
        call = getattr(stub(await stage.channel()), method)()
        response = await asked(call, sotw_request("", resource_names=["one"]))
        (one,) = response.resources
        assert one.value == name.encode()
        assert response.type_url == one.type_url


@pytest.mark.parametrize("agent", ["envoy", ""])
async def test_rule_43_only_an_envoy_is_sent_an_empty_route_configuration(stage: Stage, agent: str) -> None:
    request = delta_request(ROUTE.type_url, resource_names_subscribe=["z"])
    request.node.user_agent_name = agent
    response = await asked(await stage.delta(), request)
    named = [one.name for one in response.resources], list(response.removed_resources)
    assert named == ((["z"], []) if agent else ([], ["z"]))


async def test_two_streams_of_one_node_are_served_side_by_side(stage: Stage) -> None:
    """An Envoy that restarts hot is there twice for a while."""
    old, new = await stage.delta(), await stage.delta()
    await asked(old, delta_request())
    await asked(new, delta_request())
    status = stage.server.fleet.node(NODE)
    assert status is not None
    assert len(status.streams) == 2
    old.cancel()
    async with asyncio.timeout(WITHIN):
        while len(status.streams) == 2:
            await stage.server.fleet.changed()
    # The end of the one does nothing to the other.
    await new.write(delta_request(node="", response_nonce="1"))
    stage.cache.publish("edge", snapshot(8, both("a", "b")))
    assert [one.name for one in (await heard(new)).resources] == ["b"]


async def test_who_is_gone_is_not_offered_anything(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "xds.server")
    call = await stage.delta()
    await asked(call, delta_request())
    assert stage.cache._groups["edge"].offered
    call.cancel()
    await closed(stage)
    assert not stage.cache._groups["edge"].offered
    assert not stage.server._sessions
    assert [record.getMessage() for record in caplog.records if record.name == "xds.server"] == [
        "stream_opened node=node-1 group=edge variant=delta ADS",
        "stream_closed node=node-1 group=edge variant=delta ADS",
    ]


async def test_a_client_that_is_done_ends_its_stream_in_peace(stage: Stage) -> None:
    call = await stage.delta()
    await asked(call, delta_request())
    await call.done_writing()
    assert await ending(call) == (StatusCode.OK, "")
    silent = await stage.delta()
    await silent.done_writing()
    assert await ending(silent) == (StatusCode.OK, "")


async def test_rule_53_the_grace_of_a_removal_is_the_servers() -> None:
    now = 1000.0
    options = ServerOptions(removal_grace_seconds=60)
    async with serving(cache_of(snapshot(1, both("a", "b"))), options=options, clock=lambda: now) as stage:
        call = await stage.delta()
        first = await asked(call, delta_request())
        await call.write(delta_request(node="", response_nonce=first.nonce))
        stage.cache.publish("edge", snapshot(2, both("a", seconds=2)))
        second = await heard(call)
        assert ([one.name for one in second.resources], second.removed_resources) == (["a"], [])
        now += 59
        await call.write(delta_request(node="", response_nonce=second.nonce))
        third = await asked(call, delta_request(node="", resource_names_subscribe=["a"]))
        assert ([one.name for one in third.resources], third.removed_resources) == (["a"], [])
        now += 1
        fourth = await asked(call, delta_request(node="", response_nonce=third.nonce))
        assert ([one.name for one in fourth.resources], fourth.removed_resources) == ([], ["b"])


@pytest.mark.parametrize("error", [aio.UsageError("the call is over"), aio.InternalError("the batch failed")])
async def test_a_client_that_left_in_the_middle_of_a_write_has_left(error: Exception) -> None:
    class Gone:
        async def write(self, _: bytes) -> None:
            raise error

    context: Any = Gone()
    with pytest.raises(WireClosedError):
        await _GrpcWire(context).write(b"response")


# --- who is turned away


@pytest.mark.parametrize("with_node", [False, True], ids=["no node", "a node without an id"])
async def test_rule_5_who_does_not_name_itself_is_refused(stage: Stage, with_node: bool) -> None:
    requests: list[Any] = [delta_request(node=""), sotw_request(node="")]
    for call, request in zip([await stage.delta(), await stage.sotw()], requests, strict=True):
        if with_node:
            request.node.cluster = "edge"
        assert await ending(call, request) == (
            StatusCode.INVALID_ARGUMENT,
            "the first request on a stream must name its node",
        )
    assert stage.server.fleet.nodes() == ()


async def test_rule_5_a_node_that_changes_its_id_is_refused(stage: Stage) -> None:
    call = await stage.delta()
    await asked(call, delta_request())
    # The same node again is no harm.
    await call.write(delta_request(response_nonce="1"))
    assert [
        one.name for one in (await asked(call, delta_request(resource_names_subscribe=["a"]))).resources
    ] == ["a"]
    assert await ending(call, delta_request(node="another")) == (
        StatusCode.INVALID_ARGUMENT,
        "the node changed its id in the middle of a stream",
    )


async def test_rule_55_a_group_without_configuration_is_not_told_that_there_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Cache()) as stage:
        for _ in range(2):  # it comes back, and is told of once
            assert await ending(await stage.delta(), delta_request()) == (
                StatusCode.UNAVAILABLE,
                "there is no configuration for group 'edge' yet",
            )
        assert caplog.text.count("group_unserved group=edge") == 1
        assert stage.server.fleet.counters().turned_away == 2
        assert stage.server.fleet.nodes() == ()
        stage.cache.publish("edge", snapshot(1))
        # An empty configuration is one, and its revision is told.
        response = await asked(await stage.delta(), delta_request())
        assert (response.system_version_info, len(response.resources)) == ("1", 0)


async def test_each_node_gets_what_its_group_has() -> None:
    cache = cache_of(snapshot(1, both("a")))
    cache.publish("canary", snapshot(2, both("b")))
    met: list[tuple[Node, Identity | None]] = []

    def classify(node: Node, identity: Identity | None) -> str | Refusal:
        met.append((node, identity))
        return "canary" if node.zone == "west" else Refusal("not from here")

    async with serving(cache, classify) as stage:
        request = delta_request()
        request.node.locality.zone = "west"
        assert [one.name for one in (await asked(await stage.delta(), request)).resources] == ["b"]
        # Without mutual TLS nobody proves who it is.
        assert met == [(Node(id="node-1", zone="west"), None)]


async def test_who_is_refused_is_told_why_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(cache_of(snapshot(1)), lambda *_: Refusal("certificate of another node")) as stage:
        assert await ending(await stage.sotw(), sotw_request(node="x" * 300)) == (
            StatusCode.PERMISSION_DENIED,
            "certificate of another node",
        )
    (record,) = [record for record in caplog.records if record.name == "xds.authorization"]
    # A client chooses its id, and so how long the line would be.
    assert record.getMessage() == f"stream_refused node={'x' * 200} reason=certificate of another node"
    assert record.levelno == logging.WARNING


async def test_rule_3_an_aggregated_stream_needs_a_type(stage: Stage) -> None:
    for call, request in ((await stage.delta(), delta_request("")), (await stage.sotw(), sotw_request(""))):
        assert await ending(call, request) == (
            StatusCode.INVALID_ARGUMENT,
            "a request on an aggregated stream needs a type_url",
        )


async def test_rule_3_a_stream_of_one_type_serves_no_other(stage: Stage) -> None:
    clusters: Any = cds_pb2_grpc.ClusterDiscoveryServiceStub(await stage.channel())
    secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    assert await ending(clusters.DeltaClusters(), delta_request(secret)) == (
        StatusCode.INVALID_ARGUMENT,
        f"'{secret}' was asked for on a stream of '{CLUSTERS}'",
    )


async def test_a_method_that_is_not_there_is_unimplemented(stage: Stage) -> None:
    call: Any = (await stage.channel()).stream_stream(
        "/envoy.service.route.v3.VirtualHostDiscoveryService/StreamVirtualHosts"
    )()
    assert (await ending(call))[0] is StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("variant", ["Delta", "Stream"])
async def test_garbage_ends_its_stream_alone(stage: Stage, variant: str) -> None:
    channel = await stage.channel()
    name = f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{variant}AggregatedResources"
    good = delta(channel)
    await asked(good, delta_request())
    at_once: Any = channel.stream_stream(name)()
    code, words = await ending(at_once, b"\xff\xff\xff")
    assert code is StatusCode.INVALID_ARGUMENT
    assert words.startswith("this is no D")
    later: Any = channel.stream_stream(name)()
    request = delta_request() if variant == "Delta" else sotw_request()
    await asked(later, request.SerializeToString())
    assert (await ending(later, b"\xff\xff\xff"))[0] is StatusCode.INVALID_ARGUMENT
    await good.write(delta_request(node="", response_nonce="1"))
    stage.cache.publish("edge", snapshot(8, both("a", "b")))
    assert [one.name for one in (await heard(good)).resources] == ["b"]


async def test_who_says_nothing_is_let_go() -> None:
    options = ServerOptions(first_message_seconds=0.02)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        assert await ending(await stage.delta()) == (
            StatusCode.DEADLINE_EXCEEDED,
            "nothing was asked for on this stream",
        )


async def test_who_has_spoken_may_be_silent_for_long() -> None:
    options = ServerOptions(first_message_seconds=0.05)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        spoke, silent = await stage.delta(), await stage.delta()
        await asked(spoke, delta_request())
        assert (await ending(silent))[0] is StatusCode.DEADLINE_EXCEEDED
        assert not spoke.done()


async def test_rule_12_a_request_may_be_as_large_as_a_reconnect_of_50_000_names() -> None:
    has = {f"{'a-name-as-long-as-they-come':->70}-{number}": "0123456789abcdef" for number in range(50_000)}
    request = delta_request(initial_resource_versions=has, resource_names_subscribe=["a"])
    assert request.ByteSize() > 4 * 1024 * 1024, "gRPC's own limit would do"
    async with serving(cache_of(snapshot(1, both("a")))) as stage:
        assert [one.name for one in (await asked(await stage.delta(), request)).resources] == ["a"]


async def test_rule_12_a_request_beyond_the_limit_ends_its_stream_alone() -> None:
    options = ServerOptions(max_request_bytes=10_000)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        channel = await stage.channel()
        good = delta(channel)
        await asked(good, delta_request())
        assert (await ending(delta(channel), delta_request(node="x" * 20_000)))[0] is (
            StatusCode.RESOURCE_EXHAUSTED
        )
        await good.write(delta_request(node="", response_nonce="1"))
        stage.cache.publish("edge", snapshot(2, both("b")))
        assert [one.name for one in (await heard(good)).resources] == ["b"]


async def test_too_many_names_end_the_stream() -> None:
    options = ServerOptions(max_names=2)
    async with serving(cache_of(snapshot(1)), options=options) as stage:
        names = ["a", "b", "c"]
        assert await ending(await stage.sotw(), sotw_request(resource_names=names)) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "more than 2 names of one type are too many",
        )


@pytest.mark.parametrize("served_before", [False, True])
async def test_who_reads_nothing_is_let_go(served_before: bool) -> None:
    # More than the transport takes before somebody reads.
    large = Resource.of(CLUSTER, "large", cluster_pb2.Cluster(name="large", alt_stat_name="x" * 32_000_000))
    options = ServerOptions(write_timeout_seconds=0.1)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        call = delta(await stage.channel(max_receive_message_length=-1))
        if served_before:
            await asked(call, delta_request())
            await call.write(delta_request(node="", response_nonce="1"))
            stage.cache.publish("edge", snapshot(2, both("a"), large))
        else:
            stage.cache.publish("edge", snapshot(2, both("a"), large))
            await call.write(delta_request())
        await sent(stage, "cluster", 2 if served_before else 1)
        # It is let go whether it reads or not; if it ever does, it learns why.
        await closed(stage)
        assert await ending(call) == (StatusCode.DEADLINE_EXCEEDED, "nothing was read for 0.1 s")


async def test_more_streams_than_are_admitted_are_told_to_come_back() -> None:
    options = ServerOptions(streams_per_second=0.001, streams_at_once=2)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        served = [await stage.delta(), await stage.sotw()]
        await asked(served[0], delta_request())
        await asked(served[1], sotw_request())
        assert await ending(await stage.delta(), delta_request()) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "too many streams begin at once; come back later",
        )
        assert stage.server.fleet.counters().turned_away == 1
        # Who is in notices nothing.
        await served[0].write(delta_request(node="", response_nonce="1"))
        stage.cache.publish("edge", snapshot(2, both("a", "b")))
        assert [one.name for one in (await heard(served[0])).resources] == ["b"]


async def test_a_node_that_has_too_many_streams_open_gets_no_more() -> None:
    options = ServerOptions(streams_of_a_node=2)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        served = [await stage.delta(), await stage.sotw()]
        await asked(served[0], delta_request())
        await asked(served[1], sotw_request())
        assert await ending(await stage.delta(), delta_request()) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "this node has too many streams open",
        )
        assert stage.server.fleet.counters().turned_away == 1
        # Others have their own, and so has it when one of its own ends.
        await asked(await stage.delta(), delta_request(node="node-2"))
        served[0].cancel()
        async with asyncio.timeout(WITHIN):
            while stage.server.fleet.counters().streams != {"edge": 2}:
                await stage.server.fleet.changed()
        await asked(await stage.delta(), delta_request())


async def test_an_old_stream_is_asked_to_connect_again_and_is_sent_nothing_twice() -> None:
    options = ServerOptions(max_age_seconds=0.1)
    async with serving(cache_of(snapshot(1, both("a"))), options=options) as stage:
        call = await stage.delta()
        first = await asked(call, delta_request())
        assert await ending(call, delta_request(node="", response_nonce=first.nonce)) == (
            StatusCode.UNAVAILABLE,
            "this stream is old; connect again",
        )
        has = {one.name: one.version for one in first.resources}
        again = await asked(
            await stage.delta(),
            delta_request(
                type_url=CLUSTERS, initial_resource_versions=has, resource_names_subscribe=["*", "b"]
            ),
        )
        assert ([one.name for one in again.resources], list(again.removed_resources)) == ([], ["b"])


@pytest.mark.parametrize(
    ("now", "status", "words"),
    [
        (Refusal("certificate revoked"), StatusCode.PERMISSION_DENIED, "certificate revoked"),
        ("canary", StatusCode.UNAVAILABLE, "this node belongs to group 'canary' now; connect again"),
    ],
)
async def test_who_is_served_is_asked_again_while_the_stream_lasts(
    now: str | Refusal, status: StatusCode, words: str
) -> None:
    answers: dict[str, str | Refusal] = {"node-1": "edge", "node-2": "edge"}
    options = ServerOptions(identity_seconds=0.05)
    cache = cache_of(snapshot(1, both("a")))
    async with serving(cache, lambda node, _: answers[node.id], options=options) as stage:
        call, other = await stage.delta(), await stage.delta()
        await asked(call, delta_request())
        await asked(other, delta_request(node="node-2"))
        answers["node-1"] = now
        assert await ending(call) == (status, words)
        assert not other.done()


async def test_two_streams_of_one_node_live_side_by_side(stage: Stage) -> None:
    # While an Envoy restarts hot, the old and the new process share a node id.
    old, new = await stage.delta(), await stage.delta()
    await asked(old, delta_request())
    first = await asked(new, delta_request())
    assert len(stage.server.fleet.nodes()) == 1
    for call in (old, new):
        await call.write(delta_request(node="", response_nonce=first.nonce))
    stage.cache.publish("edge", snapshot(8, both("a", "b")))
    for call in (old, new):
        assert [one.name for one in (await heard(call)).resources] == ["b"]
    old.cancel()
    async with asyncio.timeout(WITHIN):
        while stage.server.fleet.counters().streams != {"edge": 1}:
            await stage.server.fleet.changed()
    await new.write(delta_request(node="", response_nonce="2"))
    stage.cache.publish("edge", snapshot(9, both("a", "b", "c")))
    assert [one.name for one in (await heard(new)).resources] == ["c"]


# --- what is remembered


async def test_rule_25_a_rejection_outlives_its_stream(stage: Stage) -> None:
    call = await stage.delta()
    first = await asked(call, delta_request())
    rejection = delta_request(node="", response_nonce=first.nonce)
    rejection.error_detail.message = "Error adding/updating cluster(s) a: no"
    await call.write(rejection)
    async with asyncio.timeout(WITHIN):
        while not stage.server.fleet.counters().nacks:
            await stage.server.fleet.changed()
    call.cancel()
    await closed(stage)
    again = await asked(await stage.delta(), delta_request())
    assert [one.name for one in again.resources] == []
    # It was the only one of its group, so another node is not sent it either, until it is released.
    other = await stage.delta()
    nothing = await asked(other, delta_request(node="node-2"))
    assert [one.name for one in nothing.resources] == []
    stage.server.holds.release("edge", (CLUSTER, "a"))
    await other.write(delta_request(node="", response_nonce=nothing.nonce))
    assert [one.name for one in (await heard(other)).resources] == ["a"]


async def test_what_was_left_unanswered_is_sent_again_on_the_next_stream(stage: Stage) -> None:
    call = await stage.delta()
    (one,) = (await asked(call, delta_request())).resources
    call.cancel()
    await closed(stage)
    # It may tell the version although it never took it over.
    again = await asked(await stage.delta(), delta_request(initial_resource_versions={"a": one.version}))
    assert [one.name for one in again.resources] == ["a"]


# --- where it listens, and how it goes down


async def test_a_port_that_is_taken_is_said(stage: Stage) -> None:
    second = AdsServer(Cache(), lambda *_: "edge", identifier="r")
    with pytest.raises(ListenError, match=f"can't listen on 127.0.0.1:{stage.port}: the port is taken"):
        await second.start(f"127.0.0.1:{stage.port}")
    await second.stop()


async def test_what_is_no_address_is_said() -> None:
    server = AdsServer(Cache(), lambda *_: "edge", identifier="r")
    with pytest.raises(ListenError, match=r"can't listen on 192\.0\.2\.1:0"):
        await server.start("192.0.2.1:0")


async def test_a_port_can_be_shared() -> None:
    options = ServerOptions(share_port=True)
    async with serving(Cache(), options=options) as stage:
        second = AdsServer(Cache(), lambda *_: "edge", identifier="r", options=options)
        assert await second.start(f"127.0.0.1:{stage.port}") == stage.port
        await second.stop(0)


async def test_going_down_it_sends_its_clients_elsewhere(stage: Stage) -> None:
    call, waiting = await stage.delta(), await stage.sotw()
    await asked(call, delta_request())
    await asked(waiting, sotw_request())
    async with asyncio.timeout(WITHIN):
        await stage.server.stop(grace_seconds=60)
    for each in (call, waiting):
        assert await ending(each) == (
            StatusCode.UNAVAILABLE,
            "this server is going away; connect again",
        )
    # The port is free again.
    second = AdsServer(Cache(), lambda *_: "edge", identifier="r")
    assert await second.start(f"127.0.0.1:{stage.port}") == stage.port
    await second.stop(0)


async def test_stopping_what_does_not_run_is_harmless(stage: Stage) -> None:
    await AdsServer(Cache(), lambda *_: "edge", identifier="r").stop()
    await stage.server.stop(0)
    await stage.server.stop(0)


# --- certificates


async def presented(port: int, ca: Path) -> str:
    """Shake hands, and return the certificate that the server shows."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(WITHIN):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(shown)


async def test_renewed_certificates_are_shown_at_the_next_handshake(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("server", "127.0.0.1")
    old = files.cert.read_text()
    tls = ServerTls(certificate=files.cert, key=files.key)
    async with serving(cache_of(snapshot(1, both("a"))), tls=tls) as stage:
        credentials = ssl_channel_credentials(authority.ca.read_bytes())
        call = delta(await stage.channel(credentials))
        first = await asked(call, delta_request())
        assert await presented(stage.port, authority.ca) == old

        renewed = authority.issue("renewed", "127.0.0.1")
        new = renewed.cert.read_text()
        # Between the two moves the files do not belong together: what was good stands.
        renewed.cert.replace(files.cert)
        assert await presented(stage.port, authority.ca) == old
        renewed.key.replace(files.key)
        assert await presented(stage.port, authority.ca) == new
        assert old != new
        files.cert.unlink()
        assert await presented(stage.port, authority.ca) == new

        # Who was connected notices nothing.
        await call.write(delta_request(node="", response_nonce=first.nonce))
        stage.cache.publish("edge", snapshot(2, both("a", "b")))
        assert [one.name for one in (await heard(call)).resources] == ["b"]


# --- half-open connections

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
PING = 6
ACK = 1


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection that has said that it speaks HTTP/2, and nothing else."""
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(PREFACE)
            yield reader, writer
        finally:
            writer.close()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, int]]:
    """Read HTTP/2 frames until the peer closes: type and flags of each."""
    while head := await reader.read(9):
        head += await reader.readexactly(9 - len(head))
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        yield head[3], head[4]


async def test_rule_13_a_peer_that_answers_no_ping_is_gone() -> None:
    options = ServerOptions(keepalive_seconds=0.05, keepalive_timeout_seconds=0.05)
    async with serving(Cache(), options=options) as stage, connected(stage.port) as (reader, _):
        kinds = [kind async for kind, _ in frames(reader)]
        assert PING in kinds


async def test_rule_13_a_peer_may_ping_as_often_as_it_likes(stage: Stage) -> None:
    async with connected(stage.port) as (reader, writer):
        heard = frames(reader)
        for number in range(20):
            writer.write(bytes((0, 0, 8, PING, 0, 0, 0, 0, 0)) + number.to_bytes(8, "big"))
            while await anext(heard) != (PING, ACK):
                pass
