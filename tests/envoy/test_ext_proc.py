"""The ext_proc server, asked over gRPC as Envoy does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from envoy.ext_proc import SERVICE, ExtProcServer
from envoy.questions import ask, told
from pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
)
from pb.envoy.service.ext_proc.v3.external_processor_pb2_grpc import ExternalProcessorStub
from tests.topology.claims.samples import record
from tests.topology.samples import cell
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import BucketType
from topology.claims.store import Changes
from topology.claims.stored import StoredClaims
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.service.classify import Lifetimes
from topology.service.sources import Sources
from topology.view import View
from xds.errors import ListenError

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass
class Stage:
    server: ExtProcServer
    follower: ClaimFollower
    stub: Any
    health: Any
    port: int
    view: View | None = None

    def read(self, *owned: tuple[str, int]) -> None:
        self.view = View(cells={1: cell(1), 2: cell(2)})
        self.follower.index.load(Changes(9, tuple(record(value, owner) for value, owner in owned)))
        self.follower.loaded = True

    async def told(self, *values: str, at_least: int = 0, rule: str = "path") -> str:
        questions = ask((rule, BucketType.ROUTES, at_least, value.encode()) for value in values)
        return told(await self.answered(questions))

    async def answered(self, request: ProcessingRequest) -> ProcessingResponse:
        call = self.stub.Process()
        await call.write(request)
        response = await call.read()
        assert isinstance(response, ProcessingResponse), await call.code()
        assert await call.read() is grpc.aio.EOF
        return response

    async def refused(self) -> grpc.StatusCode:
        """Say nothing, for who refuses does not read: of a word too late grpc.aio makes INTERNAL."""
        call = self.stub.Process()
        code = await call.code()
        assert isinstance(code, grpc.StatusCode)
        return code

    async def is_healthy(self) -> int:
        answers = {
            (await self.health.Check(health_pb2.HealthCheckRequest(service=name))).status
            for name in ("", SERVICE)
        }
        (status,) = answers
        return int(status)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    follower = ClaimFollower(StoredClaims(MemoryStore(), ClaimKeyspace.beside(Keyspace("/c"))))
    stage: Stage
    server = ExtProcServer(
        Sources(lambda: stage.view, follower), Lifetimes(found=60, not_found=5), lambda: {"path"}
    )
    stage = Stage(server, follower, None, None, 0)
    stage.port = await server.start("127.0.0.1:0", None)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        stage.stub, stage.health = ExternalProcessorStub(channel), health_pb2_grpc.HealthStub(channel)
        try:
            yield stage
        finally:
            await server.stop(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as stage:
        yield stage


async def test_it_tells_who_owns_what_and_for_how_long_that_holds(stage: Stage) -> None:
    stage.read(("acme", 2), ("web", 7))
    assert await stage.told("acme", "nobody", "web") == "2 1 60\n0 0 5\n7 1 60"
    assert stage.server.answers == {("path", "found"): 1, ("path", "not_found"): 1, ("path", "not_served"): 1}


async def test_what_has_not_been_read_is_never_not_found(stage: Stage) -> None:
    assert await stage.is_healthy() == NOT_SERVING
    assert await stage.refused() is grpc.StatusCode.UNAVAILABLE
    stage.view = View(cells={1: cell(1)})
    assert await stage.refused() is grpc.StatusCode.UNAVAILABLE, "claims are missing still"
    stage.read(("acme", 1))
    await stage.server.refresh_health()
    assert await stage.is_healthy() == SERVING
    assert await stage.told("acme") == "1 1 60"
    assert stage.server.streams == {"not_ready": 2, "taken": 1}


async def test_a_body_is_refused_and_named(stage: Stage) -> None:
    stage.read()
    call = stage.stub.Process()
    await call.write(ProcessingRequest(request_body=HttpBody(body=b"x")))
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "request_body" in (await call.details() or "")


async def test_a_message_that_asks_nothing_lets_the_request_go_on(stage: Stage) -> None:
    stage.read()
    response = await stage.answered(ProcessingRequest(request_headers=HttpHeaders()))
    assert response.WhichOneof("response") == "request_headers"
    assert not response.HasField("dynamic_metadata")
    assert stage.server.streams["malformed"] == 1


async def test_a_rule_that_is_not_in_force_is_counted_as_other(stage: Stage) -> None:
    stage.read(("acme", 1))
    await stage.told("acme", rule="made-up")
    assert stage.server.answers == {("other", "found"): 1}


async def test_it_waits_a_moment_for_what_the_edge_knows_already(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.read(("acme", 1))
    assert await stage.told("acme", at_least=10) == "1 1 1", "nothing came, so the answer holds for a second"
    monkeypatch.setattr("envoy.ext_proc.CATCH_UP_SECONDS", 5)
    asking = asyncio.ensure_future(stage.told("acme", at_least=10))
    while stage.server.streams["taken"] != 2:
        await asyncio.sleep(0)
    stage.follower.index.apply(Changes(10, (record("acme", 2),)))
    stage.follower._heard()
    assert await asking == "2 1 60"


async def test_claims_of_another_clock_are_as_new_as_the_view(stage: Stage) -> None:
    stage.server._beside = False
    stage.read(("acme", 1))
    stage.view = View(revision=20, cells={1: cell(1)})
    assert await stage.told("acme", at_least=20) == "1 1 60"
    assert await stage.told("acme", at_least=21) == "1 1 1"


async def test_a_port_that_is_taken_is_named(stage: Stage) -> None:
    with pytest.raises(ListenError, match=f"can't listen on 127.0.0.1:{stage.port}"):
        async with staged() as other:
            await other.server.start(f"127.0.0.1:{stage.port}", None)


async def test_stopping_lets_streams_end_and_takes_no_more(stage: Stage) -> None:
    stage.read(("acme", 1))
    request = ask([("path", BucketType.ROUTES, 0, b"acme")])
    call = stage.stub.Process()
    await call.wait_for_connection()
    while stage.server.streams["taken"] != 1:
        await asyncio.sleep(0.001)
    stopping = asyncio.ensure_future(stage.server.stop(5))
    await call.write(request)
    assert isinstance(await call.read(), ProcessingResponse)
    await stopping
    assert await stage.refused() is grpc.StatusCode.UNAVAILABLE
