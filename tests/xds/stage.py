"""A real server on a port of its own, and a client made of the stubs that Envoy's descriptors give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from grpc import aio

from pb.envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from xds.cache import Cache
from xds.nodes import Classify
from xds.options import ServerOptions
from xds.server import AdsServer
from xds.session import Clock
from xds.snapshot import Snapshot
from xds.tls import ServerTls

GROUP = "edge"
NODE = "node-1"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
WITHIN = 3.0
"""How long anything may take at the very most, in seconds."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Stage:
    """A server that listens, the cache that it serves from, and channels that end with the test."""

    server: AdsServer
    cache: Cache
    port: int
    _stack: AsyncExitStack

    async def channel(
        self, credentials: grpc.ChannelCredentials | None = None, **arguments: int | str
    ) -> aio.Channel:
        """Open a channel of its own to the server; `grpc.` goes before each argument's name."""
        target, options = f"127.0.0.1:{self.port}", [(f"grpc.{key}", arguments[key]) for key in arguments]
        # Channels with equal arguments would share a connection.
        options.append(("grpc.use_local_subchannel_pool", 1))
        if credentials is None:
            channel = aio.insecure_channel(target, options)
        else:
            channel = aio.secure_channel(target, credentials, options)
        return await self._stack.enter_async_context(channel)

    async def delta(self) -> Any:
        """Open an aggregated Delta stream on a channel of its own."""
        return delta(await self.channel())

    async def sotw(self) -> Any:
        """Open an aggregated SotW stream on a channel of its own."""
        return sotw(await self.channel())


@asynccontextmanager
async def serving(
    cache: Cache | None = None,
    classify: Classify = lambda _node, _identity: GROUP,
    *,
    options: ServerOptions | None = None,
    tls: ServerTls | None = None,
    clock: Clock = time.monotonic,
) -> AsyncIterator[Stage]:
    """Serve a cache until the end of the test."""
    cache = cache or Cache()
    server = AdsServer(cache, classify, identifier="replica-7", options=options, clock=clock)
    port = await server.start("127.0.0.1:0", tls)
    try:
        async with AsyncExitStack() as stack:
            yield Stage(server, cache, port, stack)
    finally:
        await server.stop(0)


def cache_of(snapshot: Snapshot) -> Cache:
    """Return a cache in which this is the current snapshot of the group."""
    cache = Cache()
    cache.publish(GROUP, snapshot)
    return cache


def delta(channel: aio.Channel) -> Any:
    stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
    return stub.DeltaAggregatedResources()


def sotw(channel: aio.Channel) -> Any:
    stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
    return stub.StreamAggregatedResources()


def delta_request(type_url: str = CLUSTERS, node: str = NODE, **fields: Any) -> Any:
    """Make a request; with an empty `node` it names none."""
    request: Any = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields)
    request.node.id = node
    if not node:
        request.ClearField("node")
    return request


def sotw_request(type_url: str = CLUSTERS, node: str = NODE, **fields: Any) -> Any:
    """Make a request; with an empty `node` it names none."""
    request: Any = discovery_pb2.DiscoveryRequest(type_url=type_url, **fields)
    request.node.id = node
    if not node:
        request.ClearField("node")
    return request


async def asked(call: Any, request: Any) -> Any:
    """Send a request and return the next response."""
    async with asyncio.timeout(WITHIN):
        await call.write(request)
        return await call.read()


async def heard(call: Any) -> Any:
    """Return the next response."""
    async with asyncio.timeout(WITHIN):
        return await call.read()


async def ending(call: Any, request: Any = None) -> tuple[grpc.StatusCode, str]:
    """Send a request, if there is one, and return the status with which the server ends the stream.

    A client hears of the end only when it has read what came before.
    """
    async with asyncio.timeout(WITHIN):
        try:
            if request is not None:
                await call.write(request)
            while await call.read() is not aio.EOF:
                pass
        except (aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return await call.code(), await call.details()
