"""`cellplane ext-proc` as a process of its own on a real etcd, asked as Envoy asks it."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from envoy.questions import ask, told
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
from pb.envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub
from tests.etcd_server import EtcdServer
from tests.owner_servers import OwnerServer, claim, owner_server
from tests.processes import eventually
from tests.topology.claims.samples import route
from topology.claims.model import BucketType


async def told_of(server: OwnerServer, value: str) -> str | grpc.StatusCode:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = ExternalProcessorStub(channel)
        call = stub.Process(iter([ask([("path", BucketType.ROUTES, 0, value.encode())])]))
        async for response in _responses(call):
            return told(response)
        code: grpc.StatusCode = await call.code()
        return code


async def _responses(call: Any) -> AsyncIterator[ProcessingResponse]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError:
        pass


Start = Callable[..., OwnerServer]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Give a function that spawns a server; each ends with the test."""
    async with AsyncExitStack() as stack:
        yield lambda *arguments: owner_server(stack, tmp_path, *arguments)


async def test_it_follows_the_claims_and_ends_in_order(
    start: Start, etcd: EtcdServer, etcd_prefix: str
) -> None:
    await claim(etcd.endpoint, etcd_prefix, {route("acme"): 1})
    replica = start(etcd.endpoint, etcd_prefix, "--found-ttl", "33", "--not-found-ttl", "3")
    await replica.child.ready(replica.is_ready)
    assert await told_of(replica, "acme") == "1 1 33"
    assert await told_of(replica, "web") == "0 0 3"
    await claim(etcd.endpoint, etcd_prefix, {route("web"): 2})

    async def web() -> bool:
        return await told_of(replica, "web") == "2 1 33"

    await eventually(web, "the new claim")
    _, metrics = await replica.page("/metrics")
    assert 'cellplane_ext_proc_answers_total{outcome="not_served",rule="path"}' in metrics
    replica.child.signal(signal.SIGTERM)
    await replica.child.stop()
    assert replica.child.returncode == 0


async def test_without_etcd_it_is_not_ready_and_refuses(start: Start, free_port: Callable[[], int]) -> None:
    replica = start(f"127.0.0.1:{free_port()}", "/nowhere")
    await replica.child.ready(replica.is_up)
    status, report = await replica.page("/readyz")
    assert (status, report["ready"]) == (503, False)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{replica.port}") as channel:
        # It refuses before it reads. A client that writes meanwhile may see its write fail, and not why.
        stub: Any = ExternalProcessorStub(channel)
        call = stub.Process()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_port_that_is_taken_is_named(start: Start, free_port: Callable[[], int]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = start(f"127.0.0.1:{free_port()}", "/nowhere", "--listen", address)

        async def ended() -> bool:
            return not server.child.running

        await eventually(ended, "the server to end", within=30)
    assert server.child.returncode == 2
    assert f"--listen {address}: can't listen" in server.child.log_tail()
