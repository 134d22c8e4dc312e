"""`cellplane ext-proc` as a process of its own on a real etcd, asked as Envoy asks it."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from envoy.questions import ask, told
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingResponse
from pb.envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub
from tests.etcd_server import EtcdServer
from tests.processes import Child, eventually
from tests.topology.claims.samples import batch
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import BucketType
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.etcd import EtcdStore
from topology.keys import Keyspace


@dataclass
class Replica:
    """A running server."""

    child: Child
    port: int
    status: str

    async def page(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.status}{path}") as response:
            plain = response.content_type != "application/json"
            return response.status, await (response.text() if plain else response.json())

    async def is_up(self) -> bool:
        try:
            return bool(await self.page("/livez"))
        except aiohttp.ClientError:
            return False

    async def is_ready(self) -> bool:
        return await self.is_up() and (await self.page("/readyz"))[0] == 200

    async def told(self, value: str) -> str | grpc.StatusCode:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
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


Start = Callable[..., Replica]


@pytest.fixture
async def start(free_port: Callable[[], int], tmp_path: Path) -> AsyncIterator[Start]:
    """Give a function that spawns `cellplane ext-proc`; each ends with the test."""
    async with AsyncExitStack() as stack:

        def started(etcd: str, prefix: str, *arguments: str) -> Replica:
            port, status = free_port(), free_port()
            command = (
                sys.executable, "-m", "cellplane", "ext-proc", "--listen", f"127.0.0.1:{port}",
                "--status-listen", f"127.0.0.1:{status}", "--etcd", etcd, "--etcd-prefix", prefix, *arguments,
            )  # fmt: skip
            child = Child(command, tmp_path / f"ext-proc-{port}.log")
            stack.push_async_callback(child.kill)
            child.spawn()
            return Replica(child, port, f"http://127.0.0.1:{status}")

        yield started


async def test_it_follows_the_claims_and_ends_in_order(
    start: Start, etcd: EtcdServer, etcd_prefix: str
) -> None:
    store = EtcdStore((etcd.endpoint,))
    claims = StoredClaims(store, ClaimKeyspace.beside(Keyspace(etcd_prefix)))
    try:
        assert isinstance(await claims.begin(batch(1, ["acme"]), "CELL-1"), Begun)
        replica = start(etcd.endpoint, etcd_prefix, "--found-ttl", "33", "--not-found-ttl", "3")
        await replica.child.ready(replica.is_ready)
        assert await replica.told("acme") == "1 1 33"
        assert await replica.told("web") == "0 0 3"
        assert isinstance(await claims.begin(batch(2, ["web"]), "CELL-2"), Begun)

        async def web() -> bool:
            return await replica.told("web") == "2 1 33"

        await eventually(web, "the new claim")
    finally:
        await store.close()
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
    assert await replica.told("acme") is grpc.StatusCode.UNAVAILABLE


async def test_a_port_that_is_taken_is_named(start: Start, free_port: Callable[[], int]) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    first = start(nowhere, "/nowhere")
    await first.child.ready(first.is_up)
    second = start(nowhere, "/nowhere", "--listen", f"127.0.0.1:{first.port}")

    async def ended() -> bool:
        return not second.child.running

    await eventually(ended, "the second to end")
    assert second.child.returncode == 2
    assert f"--listen 127.0.0.1:{first.port}: can't listen" in second.child.log_tail()
