"""Requests that were damaged on the way, or made to do harm: the same ones for the same seed.

Good requests of both variants are mutated as fuzzers do: bits, cuts, lengths that lie, fields repeated, moved
or of another type. Used by a proof at full size and by a small test; the edge answers each with a value.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
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
from xds.resource import TYPES, ResourceType
from xds.server import AdsServer
from xds.snapshot import Snapshot
from xds.sotw import SotwStream
from xds.status import Fleet
from xds.wire import DeltaRequest, ProtocolError, SotwRequest, parse_delta, parse_sotw

NODE = "fuzz"
KNOWN = [f"c{number}" for number in range(100)]


def good_requests(kind: ResourceType, nonce: str) -> Iterator[bytes]:
    """Make requests as clients send them, of both variants."""
    for names in ([], ["*"], ["c1"], KNOWN, ["c1", "", "é" * 50, "*", "gone"]):
        for error in ("", "Error adding/updating cluster(s) c1: no"):
            delta = discovery_pb2.DeltaDiscoveryRequest(
                type_url=kind.type_url,
                resource_names_subscribe=names,
                resource_names_unsubscribe=names[:1],
                initial_resource_versions=dict.fromkeys(names, "1"),
                response_nonce=nonce,
            )
            sotw = discovery_pb2.DiscoveryRequest(
                type_url=kind.type_url, resource_names=names, version_info="1.0", response_nonce=nonce
            )
            for request in (delta, sotw):
                request.node.id = NODE
                request.node.metadata["role"] = "edge"
                if error:
                    request.error_detail.message = error
                yield request.SerializeToString()


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


def requests(seed: int, count: int) -> Iterator[bytes]:
    """Make so many damaged requests."""
    chance = random.Random(seed)
    seeds = [each for kind in TYPES for nonce in ("", "1", "2", "3") for each in good_requests(kind, nonce)]
    for _ in range(count):
        yield mutated(chance.choice(seeds), chance)


class Edge:
    """The wire edge and the machines behind it, without a network."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.outcomes: Counter[str] = Counter()
        self.fleet = Fleet()
        self.table = NameTable()
        options = ServerOptions(max_names=1000)
        self._terms = AdsServer(Cache(), lambda *_: "edge", identifier="fuzz", options=options)._terms
        self._snapshot = snapshot
        self._streams: list[DeltaStream | SotwStream] = [self._opened(DeltaStream), self._opened(SotwStream)]

    def take(self, data: bytes) -> None:
        """Read a request as both variants do, and tell what is read to a stream that was told others before.

        Reading with a table of names and without one comes to the same.
        """
        readings: tuple[DeltaRequest | SotwRequest | ProtocolError, ...]
        readings = (parse_delta(data, self.table), parse_sotw(data, self.table))
        assert readings == (parse_delta(data), parse_sotw(data)), data
        for index, request in enumerate(readings):
            stream = self._streams[index]
            problem: ProtocolError | None
            if isinstance(request, ProtocolError):
                problem = request
            elif isinstance(stream, DeltaStream):
                assert isinstance(request, DeltaRequest)
                problem = stream.receive(request)
            else:
                assert isinstance(request, SotwRequest)
                problem = stream.receive(request)
            if problem is None:
                stream.to_send(0.0)
                self.outcomes["served"] += 1
            else:
                self.outcomes[problem.status] += 1
                if not isinstance(request, ProtocolError):
                    stream.close()
                    self._streams[index] = self._opened(type(stream))

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
        for number, data in enumerate(requests(seed, count)):
            method = ("Delta", "Stream")[number % 2]
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
