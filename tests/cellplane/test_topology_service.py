"""`cellplane topology` as a process of its own on a real etcd, and GitLab's clients at its port."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
import trustme

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service import classify_service_pb2 as classify
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2
from tests.etcd_server import EtcdServer
from tests.processes import Child, eventually
from tests.topology.service.stage import Client, drained, failure
from tests.topology.service.test_claim_service import begin, commit, record_of, request

CELL_2 = cells_pb2.Cell(
    id=2,
    endpoints=[cells_pb2.Endpoint(host="10.0.0.2", port=80)],
    addresses={"web": "https://cell-2.example.com"},
)


@dataclass
class Service:
    """A running service."""

    child: Child
    port: int
    status: str

    @asynccontextmanager
    async def client(self, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Client]:
        target = f"localhost:{self.port}"
        if credentials is None:
            channel = grpc.aio.insecure_channel(target)
        else:
            channel = grpc.aio.secure_channel(target, credentials)
        async with channel:
            yield Client(channel)

    async def answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.status}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


Start = Callable[..., Service]


@pytest.fixture
async def start(
    etcd: EtcdServer, etcd_prefix: str, free_port: Callable[[], int], tmp_path: Path
) -> AsyncIterator[Start]:
    """Give a function that spawns `cellplane topology` with arguments; each ends with the test."""
    async with AsyncExitStack() as stack:

        def started(*arguments: str) -> Service:
            port, status = free_port(), free_port()
            command = (
                sys.executable, "-m", "cellplane", "topology", "--listen", f"127.0.0.1:{port}",
                "--status-listen", f"127.0.0.1:{status}", "--etcd", etcd.endpoint,
                "--etcd-prefix", etcd_prefix, *arguments,
            )  # fmt: skip
            child = Child(command, tmp_path / f"topology-{port}.log")
            stack.push_async_callback(child.kill)
            child.spawn()
            return Service(child, port, f"http://127.0.0.1:{status}")

        yield started


async def with_cell_2(client: Client) -> None:
    await client.cells.CreateCell(cells_pb2.CreateCellRequest(cell=CELL_2))
    move = cells_pb2.TransitionCellRequest(id=2, state=cells_pb2.CELL_STATE_CANARY)
    await client.cells.TransitionCell(move)
    # The service hears of its own writes as everybody does: from etcd.
    await eventually(lambda: _follows(client), "cell 2 in the View")


async def _follows(client: Client) -> bool:
    try:
        found = await client.cells.GetCell(cells_pb2.GetCellRequest(id=2))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return bool(found.cell.state == cells_pb2.CELL_STATE_CANARY)


async def routed_to(client: Client, route: str) -> str:
    wanted = classify.ClassifyRequest(claims=[claim_pb2.Claim(route=route)])
    try:
        return (await client.classify.Classify(wanted)).proxy.address
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return ""


async def test_claims_outlive_the_service_that_took_them(start: Start) -> None:
    """It is killed between begin and commit; another replica commits, and routes."""
    first = start()
    await first.child.ready(first.answers)
    async with first.client() as client:
        await with_cell_2(client)
        lease = await begin(client, 2, ["acme"])
        assert (
            await eventually(lambda: routed_to(client, "acme"), "acme to be routed") == "cell-2.example.com"
        )
    await first.child.kill()
    second = start()
    await second.child.ready(second.answers)
    async with second.client() as client:
        assert await routed_to(client, "acme") == "cell-2.example.com"
        await commit(client, 2, lease)
        assert (await record_of(client, "acme")).status == 1
        taken = await failure(client.claims.BeginUpdate(request(2, ["acme"])))
        assert taken.code is grpc.StatusCode.ALREADY_EXISTS


async def test_replicas_see_what_others_do(start: Start) -> None:
    one, two = start(), start()
    for service in (one, two):
        await service.child.ready(service.answers)
    async with one.client() as client, two.client() as other:
        await with_cell_2(client)
        await commit(client, 2, await begin(client, 2, ["acme"]))
        assert await eventually(lambda: routed_to(other, "acme"), "acme at the other") == "cell-2.example.com"


async def test_a_signal_ends_it_in_order(start: Start) -> None:
    service = start()
    await service.child.ready(service.answers)
    async with service.client() as client:
        watch = client.cells.Watch(cells_pb2.WatchCellsRequest())
        await watch.read()
        service.child.signal(signal.SIGTERM)
        ended = await failure(drained(watch))
        assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "GOING_AWAY")
    await service.child.stop()
    assert service.child.returncode == 0


async def test_under_mtls_rules_are_applied(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert("localhost")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "ts.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "ts.key"))

    def shown(name: str) -> grpc.ChannelCredentials:
        leaf = authority.issue_cert("client.test", common_name=name)
        return grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(), leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
        )

    service = start(
        "--client-ca", str(tmp_path / "ca.pem"), "--cert", str(tmp_path / "ts.pem"),
        "--key", str(tmp_path / "ts.key"), "--admin", "ops.example.com",
    )  # fmt: skip
    await service.child.ready(service.answers)
    async with service.client(shown("ops.example.com")) as admin, service.client(shown("CELL-2")) as cell:
        refused = await failure(cell.cells.CreateCell(cells_pb2.CreateCellRequest(cell=CELL_2)))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        await with_cell_2(admin)
        await eventually(lambda: _begun(cell), "cell 2 to be known")
        other = await failure(cell.claims.BeginUpdate(request(3, ["x"])))
        assert other.code is grpc.StatusCode.PERMISSION_DENIED
    assert "access_rules_off" not in service.child.log_tail()


async def _begun(client: Client) -> bool:
    try:
        return bool(await begin(client, 2, ["acme"]))
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.FAILED_PRECONDITION


async def test_metrics_tell_what_happened(start: Start) -> None:
    service = start()
    await service.child.ready(service.answers)
    async with service.client() as client:
        await failure(client.classify.Classify(classify.ClassifyRequest()))
    async with aiohttp.ClientSession() as session, session.get(f"{service.status}/metrics") as response:
        text = await response.text()
    assert 'cellplane_topology_classify_decisions_total{kind="UNKNOWN",outcome="invalid"} 1.0' in text


async def test_a_port_that_is_taken_is_named(start: Start) -> None:
    service = start()
    await service.child.ready(service.answers)
    second = start("--listen", f"127.0.0.1:{service.port}")
    async with asyncio.timeout(20):
        while second.child.running:
            await asyncio.sleep(0.05)
    assert second.child.returncode == 2
    assert f"--listen 127.0.0.1:{service.port}: can't listen" in second.child.log_tail()
