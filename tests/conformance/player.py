"""A client that plays the scenarios: one raw gRPC stream, what came over it, and the calls that change the
state.

It behaves as the public xds-test-harness does, quirks included: what is to be sent goes through a queue that
a second task empties while the scenario goes on; each response is acknowledged at once, in SotW with the
names and the type of the newest subscription, whatever type the response is of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from google.protobuf import any_pb2
from grpc import aio

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.conformance.adapter_api import call
from tests.conformance.resources import name_of, skeleton
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, ResourceType

KINDS: Final = {"CDS": CLUSTER, "LDS": LISTENER, "RDS": ROUTE, "EDS": ENDPOINT}
AGGREGATED: Final = ("discovery.v3.AggregatedDiscoveryService", "AggregatedResources")
STREAMS: Final = {
    "CDS": ("cluster.v3.ClusterDiscoveryService", "Clusters"),
    "LDS": ("listener.v3.ListenerDiscoveryService", "Listeners"),
    "RDS": ("route.v3.RouteDiscoveryService", "Routes"),
    "EDS": ("endpoint.v3.EndpointDiscoveryService", "Endpoints"),
}
BARRIER: Final = "barrier-"

Names = tuple[str, ...]
Check = Callable[[], str]
"""Tells what is wrong now; empty where all is as it should be."""


class NonconformantError(AssertionError):
    """The server did what a scenario forbids, or failed to do what it asks for."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the four ways to speak xDS."""

    incremental: bool
    aggregated: bool

    def __str__(self) -> str:
        return f"{'delta' if self.incremental else 'sotw'}-{'ads' if self.aggregated else 'single'}"


@dataclass(frozen=True, slots=True)
class Seen:
    """How a resource last came; empty texts where it was only asked for."""

    version: str = ""
    nonce: str = ""


class Pace(Protocol):
    """How long to wait for what a scenario expects."""

    async def until(self, player: Player, check: Check, seconds: float) -> None:
        """Wait for what has to happen."""

    async def quiet(self, player: Player, service: str, check: Check, seconds: float) -> None:
        """Wait for what must not happen."""

    async def heard(self, player: Player, service: str) -> None:
        """Wait until the server has read what was said."""

    async def finish(self, player: Player, service: str, check: Check) -> None:
        """Wait for answers to the last acknowledgement, which must not come."""


@dataclass(slots=True)
class Player:
    """One run of a scenario, on a node and a stream of its own."""

    variant: Variant
    node: str
    xds: aio.Channel
    adapter: aio.Channel
    pace: Pace
    requests: int = 0
    responses: int = 0
    seen: dict[str, dict[str, Seen]] = field(default_factory=dict)
    """By service and name: what came, and what was asked for and has not come."""
    removed: dict[str, set[str]] = field(default_factory=dict)
    nonces: dict[str, str] = field(default_factory=dict)
    """The newest, by service."""
    asked: dict[str, Names] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    """Barriers that were answered: what was asked for before has been dealt with."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with each message; whoever waits clears it."""
    broken: str = ""
    """Why the stream ended."""
    _newest: Any = None
    """The newest subscription: acknowledgements repeat it."""
    _outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    _unsaid: int = 0
    _stream: Any = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # --- what the server has

    async def state(self, services: Iterable[str], names: Names, version: str = "1") -> None:
        """Set all that the node has: resources of these names, of each of the services."""
        skeletons = []
        for service in services:
            kind = KINDS[service]
            skeletons += [any_pb2.Any(type_url=kind.type_url, value=skeleton(kind, name)) for name in names]
        await call(self.adapter, "SetState", node=self.node, version=version, resources=skeletons)

    async def clear(self) -> None:
        await call(self.adapter, "ClearState", node=self.node)

    async def update(self, service: str, name: str, version: str) -> None:
        await self._change("UpdateResource", service, name, version)

    async def add(self, service: str, name: str, version: str) -> None:
        await self._change("AddResource", service, name, version)

    async def remove(self, service: str, name: str) -> None:
        seen = self.seen[service].get(name, Seen())
        await self._change("RemoveResource", service, name, seen.version)

    async def _change(self, method: str, service: str, name: str, version: str) -> None:
        url = KINDS[service].type_url
        await call(self.adapter, method, node=self.node, typeUrl=url, resourceName=name, version=version)

    # --- what the client says

    def subscribe(self, service: str, *names: str) -> None:
        """Ask for these names, or for everything. The first time this opens the stream."""
        self.seen[service] = dict.fromkeys(names, Seen())
        self.removed[service] = set()
        url = KINDS[service].type_url
        request: Any
        if self.variant.incremental:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=names)
        else:
            request = discovery_pb2.DiscoveryRequest(type_url=url, resource_names=names)
        request.node.id = self.node
        self.asked[service] = names
        if self._stream is None:
            self._newest = request
            self._open(service)
        self._say(request)

    def narrow(self, service: str, name: str) -> None:
        """Ask for this name alone from now on (SotW)."""
        current = self.seen[service][name]
        self._list(service, (name,), current)
        self.seen[service] = {name: current}

    def unsubscribe_all(self, service: str) -> None:
        """Ask for nothing any more (SotW), in the harness' words: one name, which is empty."""
        any_seen = next(reversed(self.seen[service].values()))
        self._list(service, ("",), Seen(nonce=any_seen.nonce))
        self.seen[service] = {}

    def unsubscribe(self, service: str, name: str) -> None:
        """Drop this name (Delta): neither node nor nonce come with it."""
        self.seen[service].pop(name, None)
        self._newest = discovery_pb2.DeltaDiscoveryRequest(
            type_url=KINDS[service].type_url, resource_names_unsubscribe=[name]
        )
        self._say(self._newest)

    def _list(self, service: str, names: Names, current: Seen) -> None:
        self.asked[service] = names
        self._newest = discovery_pb2.DiscoveryRequest(
            type_url=KINDS[service].type_url,
            resource_names=names,
            version_info=current.version,
            response_nonce=current.nonce,
        )
        self._say(self._newest)

    async def pass_barrier(self, service: str, number: int) -> None:
        """Ask for something new: once it is answered, all that was said before has been heard and answered.

        It costs one request, and one response.
        """
        name = f"{BARRIER}{number}"
        url = KINDS[service].type_url
        if self.variant.incremental:
            self._say(discovery_pb2.DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=[name]))
        else:
            await self.add(service, name, "barrier")
            if names := self.asked[service]:
                self._list(service, (*filter(None, names), name), Seen(nonce=self.nonces[service]))
        await self.pace.until(self, lambda: "" if name in self.passed else f"{service} is mute", 3.0)

    def hang_up(self) -> None:
        """Say that nothing more will be said. What still comes is counted, and not acknowledged."""
        self._say(None)

    async def is_heard(self, service: str) -> None:
        """Let the server read what was said, before something else reaches it on another connection."""
        await self.pace.heard(self, service)

    # --- what the client expects

    async def receives(self, service: str, names: Iterable[str], version: str) -> None:
        """Expect all of these, each at this version the last time that it came."""
        await self.pace.until(self, lambda: self._lacks(service, tuple(names), version), 3.0)

    async def receives_together(self, service: str, names: Names, version: str) -> None:
        """Expect all of these at this version, in one response."""
        await self.receives(service, names, version)
        if len({self.seen[service][name].nonce for name in names}) != 1:
            raise NonconformantError(f"{service} {names} came in several responses")

    async def receives_only(self, service: str, name: str, version: str) -> None:
        """Expect this one at this version, and no other."""

        def check() -> str:
            wrong = {
                one: seen
                for one, seen in self.seen[service].items()
                if (one, seen.version) != (name, version)
            }
            return f"{service} {name} {version} should be all; also {wrong}" if wrong else ""

        await self.pace.until(self, check, 3.0)
        await self.pace.quiet(self, service, check, 0.0)

    async def receives_nothing(self, service: str) -> None:
        await self.pace.quiet(
            self, service, lambda: f"came: {seen}" if (seen := self.seen[service]) else "", 3.0
        )

    async def never_receives(self, service: str, name: str) -> None:
        def check() -> str:
            return f"{service} {name} came: {self.seen[service][name]}" if name in self.seen[service] else ""

        await self.pace.quiet(self, service, check, 15.0)

    async def is_told_removed(self, service: str, name: str) -> None:
        def check() -> str:
            return "" if name in self.removed[service] else f"{service} {name} was not said to be removed"

        await self.pace.until(self, check, 3.0)

    def came_alone(self, service: str, name: str, *, nonce_only: bool = False) -> None:
        """Expect that no other resource shares this one's response, nor its version."""
        seen = dict(self.seen[service])
        own = seen.pop(name)
        for other, one in seen.items():
            if one.nonce == own.nonce or (one.version == own.version and not nonce_only):
                raise NonconformantError(f"{service} {other} came as {name} did: {one}, {own}")

    async def is_never_told_more_than_necessary(self, service: str) -> None:
        """Expect that nothing follows an acknowledgement: there are more requests than responses in the
        end.
        """

        def check() -> str:
            counts = f"{self.requests} requests, {self.responses} responses"
            return f"an acknowledgement was answered: {counts}" if self.requests <= self.responses else ""

        await self.pace.finish(self, service, check)

    def _lacks(self, service: str, names: Names, version: str) -> str:
        seen = self.seen[service]
        wrong = {name: seen.get(name) for name in names if name not in seen or seen[name].version != version}
        return f"{service} should be at {version}: {wrong}" if wrong else ""

    # --- the stream

    @property
    def has_said_all(self) -> bool:
        """Tell whether all that was to be said has left."""
        return self._unsaid == 0

    def _say(self, request: Any) -> None:
        self._unsaid += 1
        self._outbox.put_nowait(request)

    def _open(self, service: str) -> None:
        name, methods = AGGREGATED if self.variant.aggregated else STREAMS[service]
        method = f"{'Delta' if self.variant.incremental else 'Stream'}{methods}"
        if self.variant.incremental:
            answer: Any = discovery_pb2.DeltaDiscoveryResponse
        else:
            answer = discovery_pb2.DiscoveryResponse
        self._stream = self.xds.stream_stream(
            f"/envoy.service.{name}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=answer.FromString,
        )()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def _write(self) -> None:
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            while (request := await self._outbox.get()) is not None:
                await self._stream.write(request)
                self.requests += 1
                self._unsaid -= 1
                self.moved.set()
            await self._stream.done_writing()

    async def _read(self) -> None:
        try:
            while (response := await self._stream.read()) is not aio.EOF:
                self._take(response)
        except aio.AioRpcError as error:
            self.broken = f"the stream ended with {error.code()}: {error.details()}"
        self.moved.set()

    def _take(self, response: Any) -> None:
        service = next(name for name, kind in KINDS.items() if kind.type_url == response.type_url)
        self.responses += 1
        self.nonces[service] = response.nonce
        for name, version in self._contents(KINDS[service], response):
            if name.startswith(BARRIER):
                self.passed.add(name)
            else:
                self.seen[service][name] = Seen(version, response.nonce)
                self.removed[service].discard(name)
        if self.variant.incremental:
            self.removed[service].update(response.removed_resources)
            self.passed.update(response.removed_resources)
        self._say(self._acknowledgement(response))
        self.moved.set()

    def _contents(self, kind: ResourceType, response: Any) -> list[tuple[str, str]]:
        if self.variant.incremental:
            return [(one.name, response.system_version_info) for one in response.resources]
        return [(name_of(kind, one.value), response.version_info) for one in response.resources]

    def _acknowledgement(self, response: Any) -> Any:
        if self.variant.incremental:
            return discovery_pb2.DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce
            )
        return discovery_pb2.DiscoveryRequest(
            type_url=self._newest.type_url,
            resource_names=self._newest.resource_names,
            version_info=response.version_info,
            response_nonce=response.nonce,
        )

    async def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
