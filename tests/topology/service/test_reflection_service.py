"""Reflection: as many conversations as there are, and none that keeps a server from going."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.topology.service.stage import Client, Stage

ASK = reflection_pb2.ServerReflectionRequest(list_services="")


async def test_many_talk_at_once_and_a_server_that_goes_ends_it(stage: Stage, client: Client) -> None:
    channel: Any = client.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    calls = [stub.ServerReflectionInfo() for _ in range(40)]  # more than there are threads to hold them
    async with asyncio.timeout(20):
        for call in calls:
            await call.write(ASK)
            assert (await call.read()).HasField("list_services_response")
        await stage.server.stop(grace_seconds=60)
        assert {(await call.code()).name for call in calls} == {"OK"}
