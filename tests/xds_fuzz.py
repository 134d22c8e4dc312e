"""Requests that were damaged on the way, or made to do harm: the same ones for the same seed.

Odd requests of both variants are damaged as fuzzers do: bits, cuts, lengths that lie, fields repeated, moved
or of another type. Used by a proof at full size and by a small test; the edge answers each with a value.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from grpc import aio

from pb.envoy.service.discovery.v3 import discovery_pb2
from tests.xds.stage import asked, cache_of, delta_request, serving
from xds.cache import Cache
from xds.delta import DeltaStream
from xds.holds import Holds
from xds.names import NameTable
from xds.nodes import Node
from xds.options import ServerOptions
from xds.resource import TYPES
from xds.server import AdsServer
from xds.snapshot import Snapshot
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.wire import DeltaRequest, ProtocolError, SotwRequest, parse_delta, parse_sotw

NODE = "fuzz"
NEWEST = "@"
"""Stands for the nonce of the newest response of a type."""
KNOWN = [f"c{number}" for number in range(100)]


def odd_request(chance: random.Random, delta: bool) -> bytes:
    """Make a request that can be read, whatever it may mean."""
    kind = chance.choice(TYPES)
    names = [
        chance.choice((*KNOWN, "", "*", "gone", "é" * 50, "x" * 3000))
        for _ in range(chance.choice((0, 0, 1, 2, 5, 150)))
    ]
    if chance.random() < 0.2:
        names = KNOWN
    made: discovery_pb2.DeltaDiscoveryRequest | discovery_pb2.DiscoveryRequest
    nonce = chance.choice(("", NEWEST, NEWEST, NEWEST, "1", "nonsense"))
    if delta:
        made = discovery_pb2.DeltaDiscoveryRequest(
            type_url=kind.type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=chance.sample(KNOWN, chance.choice((0, 0, 1, 20))),
            initial_resource_versions=dict.fromkeys(chance.sample(KNOWN, chance.choice((0, 0, 3))), "1"),
            response_nonce=nonce,
        )
    else:
        version = chance.choice(("", "1", "1.0123456789abcdef", "."))
        made = discovery_pb2.DiscoveryRequest(
            type_url=kind.type_url, resource_names=names, version_info=version, response_nonce=nonce
        )
    if chance.random() < 0.5:
        made.node.id = NODE
        made.node.metadata["role"] = "edge"
    if chance.random() < 0.2:
        made.error_detail.message = f"Error adding/updating {kind.name}(s) {chance.choice(KNOWN)}: no"
    return made.SerializeToString()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Damage a request once or a few times."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(8):
            case 0 if at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(out):
                out[at] = chance.choice((0x00, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32))
            case 2:
                del out[at : at + chance.randrange(1, 20)]
            case 3:
                out[at:at] = chance.randbytes(chance.randrange(1, 20))
            case 4:
                del out[at:]
            case 5:
                out += out[at : at + 200]
            case 6:
                out[at:at] = b"\xff\xff\xff\xff\x0f"
            case _:
                piece = bytes(out[at : at + 30])
                del out[at : at + 30]
                to = chance.randrange(len(out) + 1)
                out[to:to] = piece
    return bytes(out)


def requests(seed: int, count: int) -> Iterator[tuple[bool, bytes]]:
    """Make so many requests, of the Delta variant (True) or SotW; two in three are damaged."""
    chance = random.Random(seed)
    for _ in range(count):
        delta = chance.random() < 0.5
        data = odd_request(chance, delta)
        yield delta, data if chance.random() < 0.33 else mutated(data, chance)


class Edge:
    """The wire edge and the machines behind it, without a network."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.outcomes: Counter[str] = Counter()
        self.fleet = Fleet()
        self.table = NameTable()
        options = ServerOptions(max_names=110)
        self._terms = AdsServer(Cache(), lambda *_: "edge", identifier="fuzz", options=options)._terms
        self._snapshot = snapshot
        self._newest: dict[tuple[bool, str], str] = {}
        self._streams: list[DeltaStream | SotwStream] = [self._opened(SotwStream), self._opened(DeltaStream)]

    def take(self, delta: bool, data: bytes) -> None:
        """Read a request, and tell what is read to a stream that was told others before.

        Reading with a table of names and without one comes to the same, also for the wrong variant.
        """
        readings: tuple[DeltaRequest | SotwRequest | ProtocolError, ...]
        readings = (parse_sotw(data, self.table), parse_delta(data, self.table))
        assert readings == (parse_sotw(data), parse_delta(data)), data
        request, stream = readings[delta], self._streams[delta]
        problem: ProtocolError | None
        if isinstance(request, ProtocolError):
            problem = request
        else:
            if request.nonce == NEWEST:
                request = replace(request, nonce=self._newest.get((delta, request.type_url), ""))
            problem = self._receive(stream, request)
        if problem is not None:
            self.outcomes[problem.status.value] += 1
            if request is not problem:
                stream.close()
                self._streams[delta] = self._opened(type(stream))
            return
        self.outcomes["served"] += 1
        for response in stream.to_send(0.0):
            self.outcomes["responses"] += 1
            self._newest[delta, response.type.type_url] = response.nonce

    def _receive(
        self, stream: DeltaStream | SotwStream, request: DeltaRequest | SotwRequest
    ) -> ProtocolError | None:
        if isinstance(stream, DeltaStream):
            assert isinstance(request, DeltaRequest)
            return stream.receive(request)
        assert isinstance(request, SotwRequest)
        return stream.receive(request)

    def _opened(self, variant: type[DeltaStream | SotwStream]) -> DeltaStream | SotwStream:
        for stream in self.fleet.nodes():
            for status in tuple(stream.streams)[2:]:
                self.fleet.closed(status)  # type: ignore[arg-type]
        status = self.fleet.opened(Node(id=NODE), "edge", "fuzz")
        return variant(self._snapshot, self._terms, Holds(), status, node_id=NODE)


async def live(snapshot: Snapshot, seed: int, count: int) -> Counter[str]:
    """Send damaged requests to a server, each on a stream of its own; count the statuses that it gives.

    At the end it still serves, and has no stream left.
    """
    statuses: Counter[str] = Counter()
    options = ServerOptions(streams_per_second=0)
    async with serving(cache_of(snapshot), options=options) as stage:
        channel = await stage.channel()
        for delta, data in requests(seed, count):
            method = "Delta" if delta else "Stream"
            call: Any = channel.stream_stream(
                f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}AggregatedResources"
            )()
            async with asyncio.timeout(5.0):
                with suppress(aio.AioRpcError, asyncio.InvalidStateError):
                    await call.write(data)
                    await call.done_writing()
                    while await call.read() is not aio.EOF:
                        pass
                statuses[(await call.code()).name] += 1
        good = await stage.delta()
        response = await asked(good, delta_request(node="good"))
        assert {one.name for one in response.resources} == set(KNOWN)
        good.cancel()
        async with asyncio.timeout(5.0):
            while stage.server.fleet.nodes():
                await stage.server.fleet.changed()
    return statuses
