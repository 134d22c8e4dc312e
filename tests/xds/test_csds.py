"""The status service over gRPC: what each node was sent and made of it, and who may know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from pb.envoy.admin.v3 import config_dump_shared_pb2
from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from pb.envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from tests.certificates import Authority
from tests.xds.configuration import both, cluster, snapshot
from tests.xds.stage import Stage, asked, cache_of, delta_request, serving
from xds.options import ServerOptions
from xds.resource import SECRET, Resource
from xds.tls import ServerTls

status_request: Any = csds_pb2.ClientStatusRequest
WORDS = "Error adding/updating cluster(s) bad: no"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Serve two nodes: one has rejected `bad` and acknowledged `a`, the other has answered nothing."""
    async with serving(cache_of(snapshot(7, both("a", "bad")))) as stage:
        one = await stage.delta()
        first = await asked(one, delta_request(node="edge-1"))
        second = await asked(one, _rejection(first.nonce))
        await one.write(delta_request(node="", response_nonce=second.nonce))
        await asked(await stage.delta(), delta_request(node="edge-2"))
        async with asyncio.timeout(3):
            while not stage.server.fleet.counters().acks:
                await stage.server.fleet.changed()
        yield stage


def _rejection(nonce: str) -> Any:
    request = delta_request(node="", response_nonce=nonce)
    request.error_detail.message = WORDS
    return request


async def fetch(channel: aio.Channel, *node_ids: dict[str, Any], **fields: Any) -> Any:
    stub: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
    matchers = [{"node_id": one} for one in node_ids]
    return await stub.FetchClientStatus(status_request(node_matchers=matchers, **fields))


def standings(config: Any) -> dict[str, str]:
    return {one.name: csds_pb2.ConfigStatus.Name(one.config_status) for one in config.generic_xds_configs}


async def test_rule_69_each_nodes_resources_are_told(stage: Stage) -> None:
    response = await fetch(await stage.channel())
    one, two = sorted(response.config, key=lambda config: config.node.id)
    assert (one.node.id, one.client_scope) == ("edge-1", "edge delta ADS")
    assert standings(one) == {"a": "SYNCED", "bad": "ERROR"}
    # The second is sent what the first rejected only once all else has gone.
    assert standings(two)["a"] == "STALE"
    by_name = {config.name: config for config in one.generic_xds_configs}
    good, bad = by_name["a"], by_name["bad"]
    assert good.version_info == cluster("a").version
    body: Any = cluster_pb2.Cluster()
    assert good.xds_config.Unpack(body)
    assert body.name == "a"
    assert good.client_status == config_dump_shared_pb2.ACKED
    assert not good.HasField("error_state")
    assert bad.error_state.details == WORDS
    assert bad.error_state.failed_configuration == bad.xds_config
    assert bad.error_state.version_info == cluster("bad").version


@pytest.mark.parametrize(
    ("matchers", "nodes"),
    [
        ([], ["edge-1", "edge-2"]),
        ([{"exact": "edge-1"}], ["edge-1"]),
        ([{"exact": "edge"}], []),
        ([{"prefix": "edge"}], ["edge-1", "edge-2"]),
        ([{"suffix": "-2"}], ["edge-2"]),
        ([{"contains": "GE-1", "ignore_case": True}], ["edge-1"]),
        ([{"contains": "GE-1"}], []),
        ([{"exact": "edge-1"}, {"exact": "edge-2"}], ["edge-1", "edge-2"]),
    ],
)
async def test_nodes_are_matched_by_id(
    stage: Stage, matchers: list[dict[str, Any]], nodes: list[str]
) -> None:
    response = await fetch(await stage.channel(), *matchers)
    assert sorted(config.node.id for config in response.config) == nodes


async def test_contents_can_be_left_out(stage: Stage) -> None:
    response = await fetch(await stage.channel(), {"exact": "edge-1"}, exclude_resource_contents=True)
    (config,) = response.config
    assert standings(config) == {"a": "SYNCED", "bad": "ERROR"}
    for one in config.generic_xds_configs:
        assert not one.HasField("xds_config")
        assert not one.error_state.HasField("failed_configuration")


async def test_a_stream_answers_each_request(stage: Stage) -> None:
    stub: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(await stage.channel())
    call = stub.StreamClientStatus()
    for node in ("edge-1", "edge-2"):
        response = await asked(call, status_request(node_matchers=[{"node_id": {"exact": node}}]))
        assert [config.node.id for config in response.config] == [node]
    await call.done_writing()
    assert await call.read() is aio.EOF


@pytest.mark.parametrize(
    "matcher", [{"node_id": {"safe_regex": {"regex": "e.*"}}}, {"node_metadatas": [{"path": []}]}]
)
async def test_what_is_not_served_is_said(stage: Stage, matcher: dict[str, Any]) -> None:
    stub: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(await stage.channel())
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.FetchClientStatus(status_request(node_matchers=[matcher]))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_garbage_gets_a_status(stage: Stage) -> None:
    channel = await stage.channel()
    call: Any = channel.unary_unary("/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus")
    with pytest.raises(aio.AioRpcError) as refused:
        await call(b"\xff\xff")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_keys_are_never_told() -> None:
    secret = secret_pb2.Secret(name="s")
    secret.tls_certificate.private_key.inline_string = "the key"
    async with serving(cache_of(snapshot(1, Resource.of(SECRET, "s", secret)))) as stage:
        request = delta_request(SECRET.type_url, resource_names_subscribe=["s"])
        await asked(await stage.delta(), request)
        response = await fetch(await stage.channel())
        assert standings(response.config[0]) == {"s": "STALE"}
        assert b"the key" not in response.SerializeToString()


async def test_with_mutual_tls_only_who_is_named_may_ask(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", "127.0.0.1")
    tls = ServerTls(certificate=server.cert, key=server.key, client_ca=authority.ca)
    options = ServerOptions(status_readers=frozenset({"ops.example"}))
    async with serving(cache_of(snapshot(1, both("a"))), options=options, tls=tls) as stage:
        for name, allowed in (("ops.example", True), ("edge.example", False)):
            identity = authority.issue("client", name)
            credentials = grpc.ssl_channel_credentials(
                authority.ca.read_bytes(), identity.key.read_bytes(), identity.cert.read_bytes()
            )
            channel = await stage.channel(credentials)
            if allowed:
                assert len((await fetch(channel)).config) == 0
            else:
                with pytest.raises(aio.AioRpcError) as refused:
                    await fetch(channel)
                assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
