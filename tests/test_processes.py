"""The servers that other tests stand on: they start, answer, die and come back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import pytest

from pb.etcdserverpb import rpc_pb2, rpc_pb2_grpc
from tests.conftest import Accepts, StartEnvoy, StartEtcd
from tests.envoy_process import Bootstrap
from tests.etcd_server import EtcdServer
from tests.processes import Child, NotReadyError, eventually


async def put(server: EtcdServer, key: str, value: bytes) -> int:
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        response = await kv.Put(
            rpc_pb2.PutRequest(key=key.encode(), value=value), wait_for_ready=True, timeout=5
        )
        return response.header.revision


async def get(server: EtcdServer, key: str) -> list[bytes]:
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        kv = rpc_pb2_grpc.KVStub(channel)
        response = await kv.Range(rpc_pb2.RangeRequest(key=key.encode()), wait_for_ready=True, timeout=5)
        return [record.value for record in response.kvs]


TYPES = "type.googleapis.com/envoy.extensions.filters"


def direct_response(port: int) -> Bootstrap:
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


async def test_shared_etcd_answers(etcd: EtcdServer, etcd_prefix: str) -> None:
    revision = await put(etcd, f"{etcd_prefix}/a", b"1")
    assert revision > 1
    assert await get(etcd, f"{etcd_prefix}/a") == [b"1"]


async def test_own_etcd_keeps_its_data_through_a_kill(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    await put(server, "/a", b"1")
    await server.kill()
    assert not server.running
    await server.start()
    assert await get(server, "/a") == [b"1"]


async def test_paused_etcd_answers_after_resume(etcd_server: StartEtcd) -> None:
    server = await etcd_server()
    await put(server, "/a", b"1")
    server.pause()
    waiting = asyncio.ensure_future(get(server, "/a"))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    server.resume()
    assert await waiting == [b"1"]


async def test_a_child_that_dies_is_named_with_its_log(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "import sys; print('no such cell'); sys.exit(3)"], tmp_path / "log")
    child.spawn()

    async def never() -> bool:
        return False

    with pytest.raises(NotReadyError, match=r"ended with 3\nno such cell"):
        await child.ready(never)


async def test_eventually_names_what_it_saw_last() -> None:
    async def nothing() -> str:
        return ""

    with pytest.raises(AssertionError, match="for a cell; last seen: ''"):
        await eventually(nothing, "a cell", within=0.01, every=0.001)


async def test_envoy_serves_and_tells_about_itself(envoy: StartEnvoy, free_port: Callable[[], int]) -> None:
    port = free_port()
    process = await envoy(direct_response(port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 204")
    writer.close()
    await writer.wait_closed()
    await process.until_stat("http.edge.downstream_rq_2xx", at_least=1)
    assert f"127.0.0.1:{port}" in await process.admin("/listeners")
    assert any("ListenersConfigDump" in part["@type"] for part in (await process.config_dump())["configs"])
    await process.stop()
    assert not process.running


async def test_envoy_validates(envoy_accepts: Accepts) -> None:
    await envoy_accepts(direct_response(10_000))
    with pytest.raises(AssertionError, match="has unknown fields"):
        await envoy_accepts({"cells": []})
