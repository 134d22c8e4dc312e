"""The xDS server on grpc.aio: ADS and the services of single types, Delta and SotW, from one cache.

The composition root makes one with a cache and a rule that names each node's group; Envoys connect to it
(`Snapshot -> Response`). Message bytes pass through as they are. It never serves a group that has no
snapshot.
"""

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias
from weakref import WeakValueDictionary

import grpc
from grpc import aio

from xds.admission import Bucket
from xds.authorization import Admitted, Authorization
from xds.cache import Cache
from xds.client_status import Served
from xds.csds import ClientStatusService
from xds.delta import DeltaStream
from xds.errors import ListenError
from xds.hold_book import HoldBook
from xds.names import NameTable
from xds.nodes import Classify
from xds.options import ServerOptions
from xds.resource import ResourceType
from xds.services import SERVICES
from xds.session import Clock, Session, WireClosedError
from xds.siblings import Siblings
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.terms import Terms
from xds.tls import ServerTls, credentials
from xds.watchdog import Watchdog
from xds.wire import (
    Composer,
    DeltaRequest,
    ProtocolError,
    SotwRequest,
    Status,
    parse_delta,
    parse_sotw,
    remembering,
)

log = logging.getLogger("xds.server")

TOO_MANY: Final = ProtocolError(Status.RESOURCE_EXHAUSTED, "too many streams begin at once; come back later")
TOO_MANY_OF_ONE: Final = ProtocolError(Status.RESOURCE_EXHAUSTED, "this node has too many streams open")
_MOST_UNSERVED: Final = 100
Context: TypeAlias = aio.ServicerContext[Any, Any]


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
        self._authorization = Authorization(classify, self.fleet.wall_clock)
        self._options = options or ServerOptions()
        self._clock = clock
        self._terms = Terms(
            composer=Composer(identifier),
            removal_grace_seconds=self._options.removal_grace_seconds,
            max_names=self._options.max_names,
            max_name_characters=self._options.max_name_characters,
        )
        self._plain_terms = replace(self._terms, client_is_envoy=False)
        self.holds = HoldBook(changed=self._wake_soon)
        self.holds.wants = cache.wants
        self._sessions: dict[Session, Served] = {}
        self._siblings: WeakValueDictionary[tuple[str, str], Siblings] = WeakValueDictionary()
        self._waking: set[str] = set()
        self._unserved: set[str] = set()
        """Groups that somebody asked for and that have nothing yet; each is told of once."""
        self._admission = Bucket(self._options.streams_per_second, self._options.streams_at_once)
        self._watchdog = Watchdog(self._options, clock)
        names = NameTable()
        self._parse_delta = remembering(partial(parse_delta, table=names))
        self._parse_sotw = remembering(partial(parse_sotw, table=names))
        self._server: aio.Server | None = None

    async def start(self, address: str, tls: ServerTls | None = None) -> int:
        """Listen, and return the port (`host:0` picks one). Raises ListenError where that can't be."""
        server = aio.server(options=self._options.channel())
        server.add_generic_rpc_handlers(tuple(self._handlers()))
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials(tls))
                if tls.client_ca is not None:
                    self._authorization.trust(tls.client_ca)
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

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        status = ClientStatusService(self._sessions.values, self._options.status_readers)
        return [status.handler()] + [
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
        if self._admission.admits(self._clock()):
            problem = await self._stream(delta, only, context)
        else:
            self.fleet.note_turned_away()
            problem = TOO_MANY
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
        parse = self._parse_delta if delta else self._parse_sotw
        request = parse(first)
        if isinstance(request, ProtocolError):
            return request
        node = request.node
        if node is None or not node.id:
            return ProtocolError(Status.INVALID_ARGUMENT, "the first request on a stream must name its node")
        client = self._authorization.admit(node, context.auth_context())
        if isinstance(client, ProtocolError):
            return client
        # If the first response is never read, gRPC would say these twice when it aborts, and so fail to.
        await context.send_initial_metadata(())
        return await self._session(only, client, request, wire)

    async def _session(
        self,
        only: ResourceType | None,
        client: Admitted,
        first: DeltaRequest | SotwRequest,
        wire: "_GrpcWire",
    ) -> ProtocolError | None:
        node, group = client.node, client.group
        snapshot = self._cache.current(group, node)
        if snapshot is None:
            # To answer with nothing would be to tell it to drop all that it has (rule 55).
            self.fleet.note_turned_away()
            if group not in self._unserved and len(self._unserved) < _MOST_UNSERVED:
                self._unserved.add(group)
                log.warning("group_unserved group=%s node=%s", group, node.id)
            return ProtocolError(Status.UNAVAILABLE, f"there is no configuration for group {group!r} yet")
        self._unserved.discard(group)
        siblings = self._siblings.setdefault((group, node.id), Siblings())
        if 0 < self._options.streams_of_a_node <= siblings.count:
            self.fleet.note_turned_away()
            return TOO_MANY_OF_ONE
        delta = isinstance(first, DeltaRequest)
        variant = f"{'delta' if delta else 'sotw'} {only.service if only else 'ADS'}"
        status = self.fleet.opened(node, group, variant)
        holds = self.holds.joined(group, node.id, node.user_agent_version)
        machine = DeltaStream if delta else SotwStream
        terms = self._terms if node.is_envoy else self._plain_terms
        stream = machine(snapshot, terms, holds, status, node_id=node.id, only=only)
        parse = self._parse_delta if delta else self._parse_sotw
        session = Session(stream, status, parse, clock=self._clock, siblings=siblings)
        self._watchdog.watch(session, partial(self._authorization.recheck, client))
        self._sessions[session] = Served(node, group, status.variant, stream)
        self._cache.join(group, session, node)
        log.info("stream_opened node=%s group=%s variant=%s", node.id, group, status.variant)
        try:
            return await session.run(first, wire)
        finally:
            stream.close()
            self.holds.left(group, node.id)
            self._cache.leave(group, session)
            del self._sessions[session]
            self._watchdog.forget(session)
            self.fleet.closed(status)
            log.info("stream_closed node=%s group=%s variant=%s", node.id, group, status.variant)

    def _wake_soon(self, group: str) -> None:
        """Let a group's streams look again at what was withheld, when whoever found out has finished."""
        if group not in self._waking:
            self._waking.add(group)
            asyncio.get_running_loop().call_soon(self._wake, group)

    def _wake(self, group: str) -> None:
        self._waking.discard(group)
        for session, of in self._sessions.items():
            if of.group == group:
                session.wake()


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
