"""The server: it comes up, says how it is, shows its API, and goes down in order."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service import classify_service_pb2, health_service_pb2
from tests.faults.proxy import proxied
from tests.processes import eventually
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, drained, failure, playing
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service.server import SERVICES, ListenFailed
from topology.service.server_options import ServerOptions
from topology.store import Listing


async def health(client: Client, service: str = "") -> int:
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_it_is_healthy_once_everything_is_read(client: Client) -> None:
    for service in ("", *SERVICES):
        assert await health(client, service) == health_pb2.HealthCheckResponse.SERVING
    await client.health.ReadinessProbe(health_service_pb2.ReadinessProbeRequest())
    await client.health.LivenessProbe(health_service_pb2.LivenessProbeRequest())


async def test_before_that_it_lives_and_says_it_is_not_ready() -> None:
    async with playing(MemoryStore(), Keyspace("/s"), follow=False) as stage:
        client = stage.client()
        assert await health(client) == health_pb2.HealthCheckResponse.NOT_SERVING
        await client.health.LivenessProbe(health_service_pb2.LivenessProbeRequest())
        probe = await failure(client.health.ReadinessProbe(health_service_pb2.ReadinessProbeRequest()))
        assert probe.code is grpc.StatusCode.UNAVAILABLE
        asked = await failure(
            client.classify.Classify(
                classify_service_pb2.ClassifyRequest(type=classify_service_pb2.FIRST_CELL)
            )
        )
        assert (asked.code, asked.words) == (
            grpc.StatusCode.UNAVAILABLE,
            "the topology: not read yet, try again",
        )
        assert (asked.info.reason, asked.retry) == ("NOT_READY", True)


async def test_reflection_tells_the_whole_api(client: Client) -> None:
    channel: Any = client.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask: Any = reflection_pb2.ServerReflectionRequest
    call = stub.ServerReflectionInfo(
        iter(
            [
                ask(list_services=""),
                ask(file_containing_symbol="gitlab.cells.topology_service.claims.v1.ClaimService"),
            ]
        )
    )
    listed, file = [answer async for answer in call]
    assert {each.name for each in listed.list_services_response.service} == {
        "cellplane.topology.v1.BackupService",
        "cellplane.topology.v1.CellService",
        "cellplane.topology.v1.ClaimWatchService",
        "cellplane.topology.v1.DocumentService",
        "cellplane.topology.v1.MoveService",
        "cellplane.topology.v1.PlacementService",
        "cellplane.topology.v1.TransferService",
        "gitlab.cells.topology_service.CellService",
        "gitlab.cells.topology_service.ClassifyService",
        "gitlab.cells.topology_service.HealthService",
        "gitlab.cells.topology_service.SequenceService",
        "gitlab.cells.topology_service.claims.v1.ClaimService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert file.file_descriptor_response.file_descriptor_proto


async def test_a_client_that_knows_nothing_but_reflection_can_call(client: Client) -> None:
    """As grpcurl does: descriptors from the server, messages made of them, JSON in and out."""
    channel: Any = client.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask: Any = reflection_pb2.ServerReflectionRequest
    pool = descriptor_pool.DescriptorPool()

    async def learn(**what: str) -> None:
        (answer,) = [each async for each in stub.ServerReflectionInfo(iter([ask(**what)]))]
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            for needed in file.dependency:
                await learn(file_by_filename=needed)
            pool.Add(file)

    async def call(service: str, name: str, question: dict[str, Any]) -> dict[str, Any]:
        await learn(file_containing_symbol=service)
        method = pool.FindServiceByName(service).methods_by_name[name]
        asked = message_factory.GetMessageClass(method.input_type)
        answered = message_factory.GetMessageClass(method.output_type)
        answer = await channel.unary_unary(
            f"/{service}/{name}", asked.SerializeToString, answered.FromString
        )(json_format.ParseDict(question, asked()))
        found: dict[str, Any] = json_format.MessageToDict(answer)
        return found

    claims = "gitlab.cells.topology_service.claims.v1.ClaimService"
    wanted = {"bucket": {"type": "ROUTES", "value": "acme"}, "source": {"railsPrimaryKeyId": "AA=="}}
    begun = await call(claims, "BeginUpdate", {"cellId": "2", "createRecords": [wanted]})
    assert await call(claims, "CommitUpdate", {"cellId": "2", "leaseUuid": begun["leaseUuid"]}) == {}
    record = (await call(claims, "GetRecord", {"bucket": wanted["bucket"]}))["record"]
    assert (record["cellId"], record["status"]) == ("2", "ACTIVE")
    found = await call("cellplane.topology.v1.CellService", "GetCell", {"id": "2"})
    assert found["cell"]["state"] == "CELL_STATE_ACTIVE"


async def test_a_method_that_is_not_there_is_unimplemented(client: Client) -> None:
    call: Any = client.channel.unary_unary(
        "/gitlab.cells.topology_service.SequenceService/GetCellSequenceInfo"
    )
    assert (await failure(call(b""))).code is grpc.StatusCode.UNIMPLEMENTED


async def test_going_down_it_sends_watchers_elsewhere_at_once(stage: Stage, client: Client) -> None:
    call = client.cells.Watch(cells_pb2.WatchCellsRequest())
    await call.read()
    async with asyncio.timeout(5):
        await stage.server.stop(grace_seconds=30)
    ended = await failure(drained(call))
    assert (ended.code, ended.words) == (
        grpc.StatusCode.UNAVAILABLE,
        "this server is going away: watch again",
    )


async def test_going_down_it_finishes_what_it_has_begun() -> None:
    class Slow(MemoryStore):
        """Once asked to be slow, a listing waits until it may go on."""

        slow = False
        asked = asyncio.Event()
        go = asyncio.Event()

        async def list(self, prefix: str, revision: int | None = None) -> Listing:
            if self.slow:
                self.asked.set()
                await self.go.wait()
            return await super().list(prefix, revision)

    store = Slow()
    async with playing(store, Keyspace("/s")) as stage, asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        client = stage.client()
        store.slow = True
        request = cells_pb2.DeleteCellsRequest(ids=[9], dry_run=True)
        call = tasks.create_task(failure(client.cells.DeleteCells(request)))
        await store.asked.wait()
        tasks.create_task(stage.server.stop(grace_seconds=10))
        await asyncio.sleep(0)
        store.go.set()
        assert (await call).code is grpc.StatusCode.NOT_FOUND


async def test_a_peer_that_went_mute_is_given_up() -> None:
    """As where a network swallows all packets: nobody says goodbye, and the watch must not stay for ever."""
    pings = ServerOptions(keepalive_seconds=0.2, keepalive_timeout_seconds=0.5)
    async with (
        playing(MemoryStore(), Keyspace("/s"), (cell(1),), options=pings) as stage,
        proxied(f"localhost:{stage.port}") as proxy,
        grpc.aio.insecure_channel(proxy.endpoint) as far,
    ):
        call: Any = Client(far).cells.Watch(cells_pb2.WatchCellsRequest())
        await call.read()

        async def watched(count: int) -> bool:
            return len(stage.server.cells.watches) == count

        await eventually(lambda: watched(1), "an open watch")
        proxy.stall()
        await eventually(lambda: watched(0), "the watch to be given up", within=20)
        call.cancel()


async def test_a_message_that_is_too_large_is_refused_before_it_is_read(client: Client) -> None:
    large = classify_service_pb2.ClassifyRequest(value="x" * (16 * 1024 * 1024))
    refused = await failure(client.classify.Classify(large))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in refused.words
    assert (await client.cells.ListCells(cells_pb2.ListCellsRequest())).cells  # the connection goes on


async def test_a_port_that_is_taken_is_said(stage: Stage) -> None:
    with pytest.raises(ListenFailed, match=f"can't listen on localhost:{stage.port}"):
        await stage.server.start(f"localhost:{stage.port}", None, verified=False)


async def test_stopping_what_never_started_is_harmless(stage: Stage) -> None:
    await stage.server.stop()
    await stage.server.stop()
