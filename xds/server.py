"""The xDS server on grpc.aio: ADS and the services of single types, Delta and SotW, from one cache.

The composition root makes one with a cache and a rule that names each node's group; Envoys connect to it
(`Snapshot -> Response`). Message bytes pass through as they are. It never serves a group that has no
snapshot.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from grpc import aio

from xds.cache import Cache
from xds.delta import DeltaStream
from xds.errors import ListenError
from xds.holds import Holds
from xds.nodes import Classify, Node, Refusal
from xds.resource import ResourceType
from xds.services import SERVICES
from xds.session import Clock, Session, WireClosedError
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.stream import MAX_NAMES, REMOVAL_GRACE_SECONDS, Terms
from xds.tls import ServerTls, credentials, identity
from xds.wire import Composer, DeltaRequest, ProtocolError, SotwRequest, Status, parse_delta, parse_sotw

log = logging.getLogger("xds.server")

KEPT_HOLDS: Final = 10_000
Context: TypeAlias = aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server treats its clients."""

    removal_grace_seconds: float = REMOVAL_GRACE_SECONDS
    """How long after nobody names a cluster any more it is removed."""
    first_message_seconds: float = 10.0
    """An open stream that says nothing for so long is ended."""
    write_timeout_seconds: float = 30.0
    """A client that reads nothing for so long is let go."""
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    """A peer that answers no ping is gone: half-open connections are silent staleness."""
    max_request_bytes: int = 64 * 1024 * 1024
    """A reconnecting client lists all names and versions that it has."""
    max_names: int = MAX_NAMES
    share_port: bool = False
    """Let several processes listen on one port."""


class AdsServer:
    """Serves the snapshots of a cache. `fleet` tells what became of them."""

    def __init__(
        self,
        cache: Cache,
        classify: Classify,
        *,
        identifier: str,
        options: ServerOptions | None = None,
        fleet: Fleet | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.fleet = fleet or Fleet()
        self._cache = cache
        self._classify = classify
        self._options = options or ServerOptions()
        self._clock = clock
        self._terms = Terms(
            composer=Composer(identifier),
            removal_grace_seconds=self._options.removal_grace_seconds,
            max_names=self._options.max_names,
        )
        self._holds: OrderedDict[str, Holds] = OrderedDict()
        self._sessions: dict[Session, None] = {}
        self._server: aio.Server | None = None

    async def start(self, address: str, tls: ServerTls | None = None) -> int:
        """Listen, and return the port (`host:0` picks one). Raises ListenError where that can't be."""
        server = aio.server(options=self._channel_options())
        server.add_generic_rpc_handlers(tuple(self._handlers()))
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials(tls))
        except RuntimeError as error:
            raise ListenError(f"can't listen on {address}: the port is taken, or is not ours") from error
        await server.start()
        self._server = server
        return int(port)

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Tell all clients to go elsewhere, and stop. Nothing happens if it never started."""
        if self._server is None:
            return
        server, self._server = self._server, None
        reason = ProtocolError(Status.UNAVAILABLE, "this server is going away; connect again")
        stopping = asyncio.ensure_future(server.stop(grace_seconds))
        for session in tuple(self._sessions):
            session.end(reason)
        await stopping

    def _channel_options(self) -> list[tuple[str, int]]:
        options = self._options
        return [
            ("grpc.so_reuseport", int(options.share_port)),
            ("grpc.max_receive_message_length", options.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", int(options.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout_seconds * 1000)),
            # The one that counts: without it gRPC gives a mute peer 60 s.
            ("grpc.http2.ping_timeout_ms", int(options.keepalive_timeout_seconds * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # Clients ping too (Envoy's connection_keepalive); gRPC's default would end them as too eager.
            ("grpc.http2.min_ping_interval_without_data_ms", 1000),
            ("grpc.http2.max_ping_strikes", 0),
        ]

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        return [
            grpc.method_handlers_generic_handler(
                service.name,
                {
                    method: grpc.stream_stream_rpc_method_handler(partial(self._serve, delta, service.only))
                    for delta, method in ((True, service.delta), (False, service.sotw))
                    if method
                },
            )
            for service in SERVICES
        ]

    async def _serve(self, delta: bool, only: ResourceType | None, _: object, context: Context) -> None:
        """Serve one stream from its first message on."""
        problem = await self._stream(delta, only, context)
        if problem is not None:
            await _end(context, problem)

    async def _stream(self, delta: bool, only: ResourceType | None, context: Context) -> ProtocolError | None:
        wire = _GrpcWire(context)
        try:
            async with asyncio.timeout(self._options.first_message_seconds):
                first = await wire.read()
        except TimeoutError:
            return ProtocolError(Status.DEADLINE_EXCEEDED, "nothing was asked for on this stream")
        if first is None:
            return None
        request = parse_delta(first) if delta else parse_sotw(first)
        if isinstance(request, ProtocolError):
            return request
        node = request.node
        if node is None or not node.id:
            return ProtocolError(Status.INVALID_ARGUMENT, "the first request on a stream must name its node")
        group = self._classify(node, identity(context.auth_context()))
        if isinstance(group, Refusal):
            log.warning("stream_refused node=%.200s reason=%s", node.id, group.reason)
            return ProtocolError(Status.PERMISSION_DENIED, group.reason)
        # If the first response is never read, gRPC would say these twice when it aborts, and so fail to.
        await context.send_initial_metadata(())
        return await self._session(only, node, group, request, wire)

    async def _session(
        self,
        only: ResourceType | None,
        node: Node,
        group: str,
        first: DeltaRequest | SotwRequest,
        wire: "_GrpcWire",
    ) -> ProtocolError | None:
        snapshot = self._cache.current(group)
        if snapshot is None:
            # To answer with nothing would be to tell it to drop all that it has (rule 55).
            return ProtocolError(Status.UNAVAILABLE, f"there is no configuration for group {group!r} yet")
        delta = isinstance(first, DeltaRequest)
        status = self.fleet.opened(node, group, _variant(delta, only))
        machine = DeltaStream if delta else SotwStream
        stream = machine(snapshot, self._terms, self._holds_of(node.id), status, node_id=node.id, only=only)
        session = Session(
            stream,
            status,
            clock=self._clock,
            write_timeout_seconds=self._options.write_timeout_seconds,
        )
        self._sessions[session] = None
        self._cache.join(group, session)
        log.info("stream_opened node=%s group=%s variant=%s", node.id, group, status.variant)
        try:
            return await session.run(first, wire)
        finally:
            stream.close()
            self._cache.leave(group, session)
            del self._sessions[session]
            self.fleet.closed(status)
            log.info("stream_closed node=%s group=%s variant=%s", node.id, group, status.variant)

    def _holds_of(self, node_id: str) -> Holds:
        """Return what this node has rejected; it outlives its streams, but not without bound."""
        holds = self._holds.pop(node_id, None) or Holds()
        self._holds[node_id] = holds
        if len(self._holds) > KEPT_HOLDS:
            self._holds.popitem(last=False)
        return holds


class _GrpcWire:
    """A grpc.aio stream as a session wants it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(self) -> bytes | None:
        message: Any = await self._context.read()
        return None if message is aio.EOF else message

    async def write(self, message: bytes, /) -> None:
        try:
            await self._context.write(message)
        except (aio.UsageError, aio.InternalError) as error:
            raise WireClosedError from error


async def _end(context: Context, problem: ProtocolError) -> NoReturn:
    await context.abort(grpc.StatusCode[problem.status], problem.message)


def _variant(delta: bool, only: ResourceType | None) -> str:
    return f"{'delta' if delta else 'sotw'} {only.service if only else 'ADS'}"
