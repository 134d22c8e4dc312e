"""A Delta server that says exactly what a test tells it to: to learn what a real Envoy does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from grpc import aio

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.processes import eventually
from xds.resource import BY_URL, Resource, ResourceType


@dataclass
class RawServer:
    """Answers for what it has; of what it has not it says what `absent` says by type, or nothing."""

    has: dict[tuple[ResourceType, str], Resource] = field(default_factory=dict)
    absent: dict[ResourceType, str] = field(default_factory=dict)
    asked: list[ResourceType] = field(default_factory=list)
    """Types in the order in which they were first asked for."""
    acknowledged: set[str] = field(default_factory=set)
    rejections: list[str] = field(default_factory=list)
    port: int = 0
    _out: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    _nonces: Any = field(default_factory=lambda: count(1))

    def put(self, *resources: Resource) -> None:
        self.has |= {one.key: one for one in resources}

    async def sends(self, kind: ResourceType, *resources: Resource, removed: tuple[str, ...] = ()) -> None:
        """Send a response, and wait until Envoy has acknowledged it."""
        nonce = self.push(kind, *resources, removed=removed)

        async def acknowledged() -> bool:
            return nonce in self.acknowledged

        await eventually(acknowledged, f"the ACK of {kind}")

    def push(self, kind: ResourceType, *resources: Resource, removed: tuple[str, ...] = ()) -> str:
        """Send a response, and return its nonce."""
        self.put(*resources)
        return self._push(kind, [*resources], [*removed])

    def _push(self, kind: ResourceType, resources: list[Resource], removed: list[str]) -> str:
        nonce = str(next(self._nonces))
        response: Any = discovery_pb2.DeltaDiscoveryResponse(
            type_url=kind.type_url, nonce=nonce, removed_resources=removed
        )
        for one in resources:
            response.MergeFromString(one.delta_field)
        self._out.put_nowait(response)
        return nonce

    def take(self, request: Any) -> None:
        kind = BY_URL[request.type_url]
        first = kind not in self.asked
        if first:
            self.asked.append(kind)
        if request.HasField("error_detail"):
            self.rejections.append(request.error_detail.message)
        elif request.response_nonce:
            self.acknowledged.add(request.response_nonce)
        names = [*request.resource_names_subscribe]
        everything = first and not names and kind.legacy_wildcard
        found = [one for (of, name), one in self.has.items() if of is kind and (everything or name in names)]
        missing = [name for name in names if (kind, name) not in self.has and name != "*"]
        how = self.absent.get(kind)
        if found or everything or (missing and how == "removed") or (first and how == "empty"):
            self._push(kind, found, missing if how == "removed" else [])

    async def serve(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        async with asyncio.TaskGroup() as tasks:

            async def read() -> None:
                async for request in requests:
                    self.take(request)
                self._out.put_nowait(None)

            tasks.create_task(read())
            while (response := await self._out.get()) is not None:
                yield response


@asynccontextmanager
async def raw_server() -> AsyncIterator[RawServer]:
    """Serve until the end of the test."""
    raw = RawServer()
    server = aio.server()
    handler = grpc.stream_stream_rpc_method_handler(
        raw.serve,
        discovery_pb2.DeltaDiscoveryRequest.FromString,
        discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "envoy.service.discovery.v3.AggregatedDiscoveryService", {"DeltaAggregatedResources": handler}
            ),
        )
    )
    raw.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield raw
    finally:
        await server.stop(0)
