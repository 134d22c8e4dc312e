"""Health as gRPC has it: asked, watched, and ended with the server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.topology.service.stage import Client, Stage, drained, failure

ANSWER = health_pb2.HealthCheckResponse


def stub(client: Client) -> Any:
    return health_pb2_grpc.HealthStub(client.channel)


async def test_a_service_that_is_not_there_is_unknown(client: Client) -> None:
    asked = health_pb2.HealthCheckRequest(service="acme.Nothing")
    refused = await failure(stub(client).Check(asked))
    assert (refused.code, refused.words) == (
        grpc.StatusCode.NOT_FOUND,
        "there is no service 'acme.Nothing'",
    )
    call = stub(client).Watch(asked)
    assert (await call.read()).status == ANSWER.SERVICE_UNKNOWN
    call.cancel()


async def test_going_down_it_tells_every_watcher_and_waits_for_none(stage: Stage, client: Client) -> None:
    asked = health_pb2.HealthCheckRequest()
    leaves, stays, unknown = (
        stub(client).Watch(asked),
        stub(client).Watch(asked),
        stub(client).Watch(health_pb2.HealthCheckRequest(service="acme.Nothing")),
    )
    assert [(await call.read()).status for call in (leaves, stays)] == [ANSWER.SERVING] * 2
    await unknown.read()
    leaves.cancel()
    await asyncio.wait([asyncio.ensure_future(leaves.code())])
    # Whoever comes after it takes nothing from those who are there.
    assert (await stub(client).Check(asked)).status == ANSWER.SERVING
    async with asyncio.timeout(20):
        await stage.server.stop(grace_seconds=60)
    assert (await stays.read()).status == ANSWER.NOT_SERVING
    for call in (stays, unknown):
        ended = await failure(drained(call))
        assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "GOING_AWAY")


async def test_nothing_is_told_twice(stage: Stage, client: Client) -> None:
    call = stub(client).Watch(health_pb2.HealthCheckRequest())
    assert (await call.read()).status == ANSWER.SERVING
    stage.server.refresh_health()
    await stage.server.stop()
    assert (await call.read()).status == ANSWER.NOT_SERVING
    stage.server.refresh_health()  # too late: it is going away
    await failure(drained(call))
