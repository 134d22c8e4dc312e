"""A scripted Envoy and what it hears: tests of streams read like a conversation, and silence is asserted.

    talk = in_memory("delta", snapshot)
    await talk.envoy.asks(CLUSTER)
    await talk.expect.sends(CLUSTER, "a", "b")
    await talk.envoy.acks(CLUSTER)
    await talk.expect.silence()

The same script runs over a state machine alone (`in_memory`) and over a gRPC stream (`over_grpc`); both
pass bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from grpc import aio

from pb.envoy.config.cluster.v3 import cluster_pb2
from pb.envoy.config.core.v3 import extension_pb2
from pb.envoy.config.endpoint.v3 import endpoint_pb2
from pb.envoy.config.listener.v3 import listener_pb2
from pb.envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from pb.envoy.service.discovery.v3 import discovery_pb2
from pb.envoy.service.runtime.v3 import rtds_pb2
from xds.delta import DeltaStream
from xds.holds import Holds
from xds.nodes import Node
from xds.resource import (
    BY_URL,
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPED_ROUTE,
    SECRET,
    VIRTUAL_HOST,
    ResourceType,
)
from xds.services import SERVICES
from xds.snapshot import Snapshot, diff
from xds.sotw import SotwStream
from xds.status import Fleet, StreamStatus
from xds.terms import Terms
from xds.wire import Composer, ProtocolError, parse_delta, parse_sotw

Variant = Literal["delta", "sotw"]
MESSAGES: Mapping[ResourceType, Any] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
    SCOPED_ROUTE: scoped_route_pb2.ScopedRouteConfiguration,
    VIRTUAL_HOST: route_components_pb2.VirtualHost,
    SECRET: secret_pb2.Secret,
    RUNTIME: rtds_pb2.Runtime,
    EXTENSION_CONFIG: extension_pb2.TypedExtensionConfig,
}
NODE_ID = "scripted-envoy"


class Line(Protocol):
    """How messages get there and back."""

    async def send(self, message: bytes) -> None: ...
    async def next(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Said:
    """A response, decoded."""

    type: ResourceType
    nonce: str
    version: str
    resources: dict[str, Any]
    versions: dict[str, str]
    removed: frozenset[str]
    identifier: str
    missing: frozenset[str] = frozenset()
    """Names of resources without a body."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class Talk:
    """Both ends of one conversation."""

    variant: Variant
    line: Line
    only: ResourceType | None = None
    node: str = NODE_ID
    heard: deque[Said] = field(default_factory=deque)
    last: dict[ResourceType, Said] = field(default_factory=dict)
    accepted: dict[ResourceType, str] = field(default_factory=dict)
    names: dict[ResourceType, tuple[str, ...]] = field(default_factory=dict)
    opened: bool = False
    fences: int = 0

    @property
    def envoy(self) -> Envoy:
        return Envoy(self)

    @property
    def expect(self) -> Expect:
        return Expect(self)

    async def hear(self) -> Said | None:
        """Return the next response, or None where the line falls silent."""
        if self.heard:
            return self.heard.popleft()
        message = await self.line.next()
        return None if message is None else self.decoded(message)

    def decoded(self, message: bytes) -> Said:
        if self.variant == "delta":
            delta = discovery_pb2.DeltaDiscoveryResponse.FromString(message)
            kind = BY_URL[delta.type_url]
            bodies = {
                one.name: opened(kind, one.resource) for one in delta.resources if one.HasField("resource")
            }
            missing = frozenset(one.name for one in delta.resources if not one.HasField("resource"))
            assert all(name_of(kind, body) == name for name, body in bodies.items()), "names differ"
            assert len(bodies) + len(missing) == len(delta.resources), "a name is there twice"
            return Said(
                kind,
                delta.nonce,
                delta.system_version_info,
                bodies,
                {one.name: one.version for one in delta.resources},
                frozenset(delta.removed_resources),
                delta.control_plane.identifier,
                missing,
                {one.name: tuple(one.aliases) for one in delta.resources},
            )
        sotw = discovery_pb2.DiscoveryResponse.FromString(message)
        kind = BY_URL[sotw.type_url]
        bodies = {name_of(kind, body): body for body in (opened(kind, one) for one in sotw.resources)}
        assert len(bodies) == len(sotw.resources), "a name is there twice"
        return Said(
            kind, sotw.nonce, sotw.version_info, bodies, {}, frozenset(), sotw.control_plane.identifier
        )


@dataclass(frozen=True, slots=True)
class Envoy:
    """What the client says."""

    talk: Talk

    async def asks(
        self,
        kind: ResourceType,
        *names: str,
        drops: tuple[str, ...] = (),
        has: Mapping[str, str] | None = None,
        version: str = "",
        nonce: str | None = None,
    ) -> None:
        """Subscribe. In Delta to these names besides those there are; in SotW to these and no others.

        `has` (Delta) and `version` (SotW) are what a reconnecting client tells. The nonce is the last one
        heard.
        """
        talk = self.talk
        last = talk.last.get(kind)
        spoken = nonce if nonce is not None else last.nonce if last and talk.variant == "sotw" else ""
        if talk.variant == "delta":
            await self._send_delta(kind, subscribe=names, unsubscribe=drops, has=has or {}, nonce=spoken)
        else:
            talk.names[kind] = names
            if version:
                talk.accepted[kind] = version
            await self._send_sotw(kind, nonce=spoken)

    async def drops(self, kind: ResourceType, *names: str) -> None:
        """Unsubscribe from these names."""
        if self.talk.variant == "delta":
            await self._send_delta(kind, unsubscribe=names)
        else:
            left = tuple(name for name in self.talk.names[kind] if name not in names)
            await self.asks(kind, *left)

    async def acks(self, kind: ResourceType, nonce: str | None = None) -> None:
        """Accept the last response of this type (or the one with this nonce)."""
        last = self.talk.last[kind]
        if self.talk.variant == "delta":
            await self._send_delta(kind, nonce=nonce or last.nonce)
        else:
            self.talk.accepted[kind] = last.version
            await self._send_sotw(kind, nonce=nonce or last.nonce)

    async def nacks(self, kind: ResourceType, message: str) -> None:
        """Reject the last response of this type."""
        nonce = self.talk.last[kind].nonce
        if self.talk.variant == "delta":
            await self._send_delta(kind, nonce=nonce, error=message)
        else:
            await self._send_sotw(kind, nonce=nonce, error=message)

    async def says(self, message: Any) -> None:
        """Send a message as it is."""
        self.talk.opened = True
        await self.talk.line.send(message.SerializeToString())

    async def _send_delta(
        self,
        kind: ResourceType,
        *,
        subscribe: tuple[str, ...] = (),
        unsubscribe: tuple[str, ...] = (),
        has: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
    ) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=kind.type_url if kind is not self.talk.only else "",
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=has or {},
            response_nonce=nonce,
        )
        await self._finish(request, error)

    async def _send_sotw(self, kind: ResourceType, *, nonce: str, error: str | None = None) -> None:
        request = discovery_pb2.DiscoveryRequest(
            type_url=kind.type_url if kind is not self.talk.only else "",
            resource_names=self.talk.names[kind],
            version_info=self.talk.accepted.get(kind, ""),
            response_nonce=nonce,
        )
        await self._finish(request, error)

    async def _finish(self, request: Any, error: str | None) -> None:
        if not self.talk.opened:
            request.node.id = self.talk.node
            request.node.user_agent_name = "envoy"
        if error is not None:
            # Envoy's code is always INTERNAL.
            request.error_detail.code = 13
            request.error_detail.message = error
        await self.says(request)


@dataclass(frozen=True, slots=True)
class Expect:
    """What the server must say next."""

    talk: Talk

    async def sends(
        self, kind: ResourceType, *names: str, removed: tuple[str, ...] = (), version: str | None = None
    ) -> Said:
        """Demand a response of this type with these resources and removals, no more and no fewer."""
        said = await self.talk.hear()
        assert said is not None, f"{kind} {names} was due, and there is silence"
        assert (said.type, sorted(said.resources), sorted(said.removed)) == (
            kind,
            sorted(names),
            sorted(removed),
        )
        if version is not None:
            assert said.version == version
        self.talk.last[kind] = said
        return said

    async def silence(self) -> None:
        """Demand that nothing more is said, whatever was due until now."""
        assert not self.talk.heard, f"unexpected: {self.talk.heard[0]}"
        if isinstance(self.talk.line, Memory):
            said = await self.talk.hear()
            assert said is None, f"unexpected: {said}"
            return
        # Two questions with sure answers: when the second is answered, all that was due before the first is
        # said.
        for _ in range(2):
            await self._fence()

    async def _fence(self) -> None:
        talk = self.talk
        talk.fences += 1
        fence = f"fence-{talk.fences}"
        before = talk.names.get(RUNTIME, ())
        await talk.envoy.asks(RUNTIME, *((fence,) if talk.variant == "delta" else (*before, fence)))
        said = await talk.hear()
        assert said is not None, "the fence was not answered"
        assert said.type is RUNTIME, f"unexpected: {said}"
        talk.last[RUNTIME] = said
        await talk.envoy.acks(RUNTIME)


class Memory:
    """A state machine without I/O: what the shell does, in ten lines."""

    def __init__(self, stream: DeltaStream | SotwStream, status: StreamStatus) -> None:
        self.stream = stream
        self.status = status
        self.problem: ProtocolError | None = None
        self.now = 1000.0
        self._out: deque[bytes] = deque()

    async def send(self, message: bytes) -> None:
        assert self.problem is None, f"the stream has ended: {self.problem}"
        if isinstance(self.stream, DeltaStream):
            delta = parse_delta(message)
            self.problem = delta if isinstance(delta, ProtocolError) else self.stream.receive(delta)
        else:
            sotw = parse_sotw(message)
            self.problem = sotw if isinstance(sotw, ProtocolError) else self.stream.receive(sotw)

    async def next(self) -> bytes | None:
        if not self._out:
            self._out.extend(response.payload for response in self.stream.to_send(self.now))
        return self._out.popleft() if self._out else None


@dataclass
class MemoryTalk(Talk):
    """A conversation with a state machine; the test publishes and moves the clock itself."""

    line: Memory

    def publishes(self, snapshot: Snapshot) -> None:
        self.line.stream.offer(snapshot, diff(self.line.stream.snapshot, snapshot))

    def passes(self, seconds: float) -> None:
        self.line.now += seconds

    @property
    def settled(self) -> bool:
        return self.line.stream.settled

    def reconnects(self, snapshot: Snapshot | None = None, *, holds: Holds | None = None) -> MemoryTalk:
        """Lose this stream and open another to the same server or, with new holds, to another."""
        self.line.stream.close()
        return in_memory(
            self.variant,
            snapshot or self.line.stream.snapshot,
            holds=holds or self.line.stream._holds,
            only=self.only,
        )


def in_memory(
    variant: Variant,
    snapshot: Snapshot,
    *,
    holds: Holds | None = None,
    only: ResourceType | None = None,
    grace_seconds: float = 1.0,
    composer: Composer | None = None,
    max_names: int = 1000,
    max_name_characters: int = 1000,
    client_is_envoy: bool = True,
) -> MemoryTalk:
    """Start a conversation with a state machine alone."""
    fleet = Fleet(wall_clock=lambda: 0.0)
    status = fleet.opened(Node(id=NODE_ID), "group", variant)
    terms = Terms(
        composer=composer or Composer("test"),
        removal_grace_seconds=grace_seconds,
        max_names=max_names,
        max_name_characters=max_name_characters,
        client_is_envoy=client_is_envoy,
    )
    machine = DeltaStream if variant == "delta" else SotwStream
    stream = machine(snapshot, terms, holds or Holds(), status, node_id=NODE_ID, only=only)
    return MemoryTalk(variant, Memory(stream, status), only)


class Call:
    """A gRPC stream."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def send(self, message: bytes) -> None:
        await self.call.write(message)

    async def next(self) -> bytes | None:
        async with asyncio.timeout(5.0):
            message = await self.call.read()
        return None if message is aio.EOF else message


@asynccontextmanager
async def over_grpc(
    variant: Variant,
    port: int,
    *,
    only: ResourceType | None = None,
    channel: aio.Channel | None = None,
    node: str = NODE_ID,
) -> AsyncIterator[Talk]:
    """Start a conversation with a server on this port."""
    (service,) = (service for service in SERVICES if service.only is only)
    method = service.delta if variant == "delta" else service.sotw
    own = channel or aio.insecure_channel(f"127.0.0.1:{port}")
    call: Any = own.stream_stream(f"/{service.name}/{method}")()
    try:
        yield Talk(variant, Call(call), only, node)
    finally:
        call.cancel()
        if channel is None:
            await own.close()


def opened(kind: ResourceType, packed: Any) -> Any:
    """Read the message in an Any."""
    assert packed.type_url == kind.type_url
    return MESSAGES[kind].FromString(packed.value)


def name_of(kind: ResourceType, body: Any) -> str:
    return str(body.cluster_name if kind is ENDPOINT else body.name)
