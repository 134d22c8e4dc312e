"""Connections to etcd: several endpoints, TLS, tokens, keepalive, timeouts.

`etcd.EtcdStore` asks for a call on whichever endpoint answers. It knows nothing of keys, records and watches.
`etcd Event -> View -> Snapshot -> Response`: the wire below the Event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from pb.etcdserverpb import rpc_pb2, rpc_pb2_grpc
from topology.call_words import plain
from topology.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.etcd_access import Access, Timeouts
from topology.etcd_failures import NO_AUTH, closed_by_others, is_stale_token, raise_as_ours

Answer = TypeVar("Answer")
Metadata = tuple[tuple[str, str], ...]


class Connection:
    """A channel to one endpoint with the stubs on it."""

    def __init__(self, endpoint: str, channel: grpc.aio.Channel) -> None:
        self.endpoint = endpoint
        self.channel = channel
        self.kv = rpc_pb2_grpc.KVStub(channel)
        self.watch = rpc_pb2_grpc.WatchStub(channel)
        self.auth = rpc_pb2_grpc.AuthStub(channel)
        self.lease = rpc_pb2_grpc.LeaseStub(channel)
        self.maintenance = rpc_pb2_grpc.MaintenanceStub(channel)
        self.version: str | None = None

    async def ready(self) -> bool:
        """Wait until the channel stands, or is known not to."""
        state = self.channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                return False
            await self.channel.wait_for_state_change(state)
            state = self.channel.get_state(try_to_connect=True)
        return True

    @property
    def stands(self) -> bool:
        """Tell whether calls can be sent right now."""
        return self.channel.get_state() is grpc.ChannelConnectivity.READY


class Endpoints:
    """The endpoints of one etcd. Calls go to the one that answered last; where it fails, to the next."""

    def __init__(
        self, endpoints: tuple[str, ...], access: Access, timeouts: Timeouts, message_bytes: int
    ) -> None:
        if not endpoints:
            raise ValueError("no etcd endpoint is given")
        self._endpoints = endpoints
        self._access = access
        self._timeouts = timeouts
        self._message_bytes = message_bytes
        self._connections: dict[str, Connection] = {}
        self._preferred = 0
        self._token: str | None = None
        self._token_lock = asyncio.Lock()
        self._closed = False

    async def call(
        self, use: Callable[[Connection, Metadata], Awaitable[Answer]], *, repeatable: bool
    ) -> Answer:
        """Make one call. One that is not repeatable is sent to one endpoint only; no answer then means
        `OutcomeUnknown`.
        """
        failures: list[str] = []
        for _ in self._endpoints:
            connection = await self.connect(failures)
            try:
                return await self._authorized(connection, use)
            except StoreUnavailable as error:
                await self.set_aside(connection)
                if not repeatable:
                    raise OutcomeUnknown(f"{connection.endpoint}: {error}") from error
                failures.append(f"{connection.endpoint}: {error}")
        raise StoreUnavailable("; ".join(failures))

    async def connect(self, failures: list[str] | None = None) -> Connection:
        """Give a connection that stands, to the preferred endpoint or the next that can be reached."""
        standing = self._connections.get(self._endpoints[self._preferred])
        if standing is not None and standing.stands:  # as before most calls: nothing to wait for
            return standing
        failures = [] if failures is None else failures
        for _ in self._endpoints:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            endpoint = self._endpoints[self._preferred]
            connection = self._connections.get(endpoint) or self._open(endpoint)
            try:
                async with asyncio.timeout(self._timeouts.connect):
                    with closed_by_others:
                        if await connection.ready():
                            return connection
                        failures.append(f"{endpoint}: {await self._why(connection)}")
            except TimeoutError:
                failures.append(f"{endpoint}: no connection within {self._timeouts.connect:g} s")
            except StoreUnavailable as error:
                failures.append(f"{endpoint}: {error}")
            await self.set_aside(connection)
        raise StoreUnavailable("; ".join(failures))

    async def metadata(self, connection: Connection, *, renew: bool = False) -> Metadata:
        """Give what a call must carry: a token, where a user is configured and etcd asks for one."""
        if not self._access.username:
            return ()
        stale = self._token
        async with self._token_lock:
            if self._token is None or (renew and self._token == stale):
                self._token = await self._authenticate(connection)
        return (("token", self._token),) if self._token else ()

    async def set_aside(self, connection: Connection) -> None:
        """Prefer the next endpoint from now on; a connection that broke is thrown away and made anew when
        needed.
        """
        if self._endpoints[self._preferred] == connection.endpoint:
            self._preferred = (self._preferred + 1) % len(self._endpoints)
        if not connection.stands and self._connections.get(connection.endpoint) is connection:
            del self._connections[connection.endpoint]
            await connection.channel.close()

    async def close(self) -> None:
        """Close every connection; calls that run end."""
        self._closed = True
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.channel.close()

    async def guarded(self, answer: Awaitable[Answer], seconds: float | None) -> Answer:
        """Wait for an answer and turn what goes wrong into our errors: the one place where gRPC's are met."""
        try:
            async with asyncio.timeout(seconds):
                with closed_by_others:
                    return await answer
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {seconds:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise_as_ours(error)

    async def _authorized(
        self, connection: Connection, use: Callable[[Connection, Metadata], Awaitable[Answer]]
    ) -> Answer:
        metadata = await self.metadata(connection)
        try:
            return await self.guarded(use(connection, metadata), self._timeouts.call)
        except StoreRefused as error:
            if not (metadata and is_stale_token(str(error))):
                raise
        metadata = await self.metadata(connection, renew=True)
        return await self.guarded(use(connection, metadata), self._timeouts.call)

    async def _authenticate(self, connection: Connection) -> str:
        request = rpc_pb2.AuthenticateRequest(name=self._access.username, password=self._access.password)
        try:
            answer = await self.guarded(connection.auth.Authenticate(request), self._timeouts.call)
        except StoreRefused as error:
            if NO_AUTH in str(error):
                return ""
            raise
        return answer.token

    async def _why(self, connection: Connection) -> str:
        """Ask for a call that must fail: only a call says why there is no connection."""
        try:
            await connection.maintenance.Status(rpc_pb2.StatusRequest())
        except grpc.aio.AioRpcError as error:
            return plain(error.details() or "no connection")
        return "the connection broke while it was made"

    def _open(self, endpoint: str) -> Connection:
        target = endpoint.removeprefix("https://").removeprefix("http://").rstrip("/")
        times, options = self._timeouts, [("grpc.use_local_subchannel_pool", 1)]
        options += [
            ("grpc.keepalive_time_ms", int(times.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", int(times.keepalive_answer * 1000)),
            # Without it a frozen peer is noticed only after a minute, whatever the line above says.
            ("grpc.http2.ping_timeout_ms", int(times.keepalive_answer * 1000)),
            ("grpc.http2.max_pings_without_data", 0),
            # The probe pings with nearly each message, to find this window; listings are what needs one.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 4 * 1024 * 1024),
            ("grpc.min_reconnect_backoff_ms", int(times.connect * 1000)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", self._message_bytes),
            ("grpc.max_send_message_length", self._message_bytes),
        ]
        if self._access.tls or endpoint.startswith("https://"):
            name = self._access.server_name
            named = [("grpc.ssl_target_name_override", name)] if name else []
            channel = grpc.aio.secure_channel(target, self._access.credentials(), [*options, *named])
        else:
            channel = grpc.aio.insecure_channel(target, options)
        self._connections[endpoint] = Connection(endpoint, channel)
        return self._connections[endpoint]
