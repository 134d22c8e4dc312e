"""Many xDS clients in one process, each on a connection of its own: raw HTTP/2 frames, no gRPC library, no
decoding of resources.

`fanout.py` starts it and speaks to it by lines: `synced` answers when each stream had everything; `mark`
forgets what was received; `received TYPE` answers with the time at which each stream got its first response
of that type since the mark. With `--stalled` its clients ask and then read nothing.
Times are CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvloop

from pb.envoy.service.discovery.v3 import discovery_pb2
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, ResourceType

_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK = 1
_METHODS = {
    "delta": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "sotw": "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
}
# A window that no run fills: nothing has to be given back.
_WINDOW = 2**31 - 1


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Make one HTTP/2 frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def message(body: bytes) -> bytes:
    """Make one gRPC message in DATA frames of stream 1."""
    framed = b"\0" + len(body).to_bytes(4, "big") + body
    return b"".join(frame(_DATA, 0, 1, framed[at : at + 16384]) for at in range(0, len(framed), 16384))


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    return bytes([127, len(data) - 127]) + data  # HPACK integer, RFC 7541 section 5.1; enough up to 254


def opening(method: str, narrow: bool = False) -> bytes:
    """Make what opens a connection and the one stream on it: preface, settings, window, request headers.

    A narrow one leaves the windows at 64 KiB.
    """
    headers = b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(method),
            b"\x01" + _text("xds"),
            b"\x0f\x10" + _text("application/grpc"),
            b"\x00" + _text("te") + _text("trailers"),
        )
    )
    settings = struct.pack(">HIHI", 4, _WINDOW, 5, 2**24 - 1)
    return b"".join(
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            frame(_SETTINGS, 0, 0, b"" if narrow else settings),
            b"" if narrow else frame(8, 0, 0, struct.pack(">I", _WINDOW - 65535)),
            frame(_HEADERS, 4, 1, headers),
        )
    )


@dataclass(slots=True)
class Fleet:
    """What all clients share: the requests, which are the same bytes for each."""

    variant: str
    wanted: tuple[ResourceType, ...]
    names: dict[ResourceType, list[str]]
    stalled: bool = False
    streams: list[Client] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _requests: dict[ResourceType, bytes] = field(default_factory=dict)
    _names: dict[ResourceType, bytes] = field(default_factory=dict)

    def request(self, kind: ResourceType, node: str = "") -> bytes:
        """Give the first request of a type."""
        if not node and kind in self._requests:
            return self._requests[kind]
        if self.variant == "delta":
            delta = discovery_pb2.DeltaDiscoveryRequest(type_url=kind.type_url)
            delta.resource_names_subscribe.extend(self.names.get(kind, ()))
            made: discovery_pb2.DeltaDiscoveryRequest | discovery_pb2.DiscoveryRequest = delta
        else:
            made = discovery_pb2.DiscoveryRequest(type_url=kind.type_url)
            made.resource_names.extend(self.names.get(kind, ()))
        if node:
            made.node.id = node
            made.node.metadata["role"] = "edge"
        body = message(made.SerializeToString())
        if not node:
            self._requests[kind] = body
        return body

    def ack(self, kind: ResourceType, version: bytes, nonce: bytes) -> bytes:
        """Give the ACK of a response; in SotW it names everything that is subscribed."""
        if self.variant == "delta":
            return message(_field(2, kind.type_url.encode()) + _field(6, nonce))
        names = self._names.get(kind)
        if names is None:
            names = b"".join(_field(3, name.encode()) for name in self.names.get(kind, ()))
            self._names[kind] = names
        return message(_field(1, version) + names + _field(4, kind.type_url.encode()) + _field(5, nonce))

    def mark(self) -> None:
        """Forget what was received."""
        for client in self.streams:
            client.since.clear()

    def received(self, name: str) -> list[float | None]:
        """Tell when each stream got its first response of a type since the mark."""
        kind = next(kind for kind in self.wanted if kind.name == name)
        return [client.since.get(kind) for client in self.streams]

    def synced(self) -> list[float | None]:
        """Tell when each stream had all types."""
        wanted = len(self.wanted)
        return [max(one.got.values()) if len(one.got) == wanted else None for one in self.streams]


def _field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


_BY_URL = {kind.type_url.encode(): kind for kind in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}
_CHILD = {CLUSTER: ENDPOINT, LISTENER: ROUTE}


class Client(asyncio.Protocol):
    """One connection with one aggregated stream that ACKs everything."""

    __slots__ = ("_buffer", "_data", "_fleet", "_node", "_transport", "bytes", "got", "since")

    def __init__(self, fleet: Fleet, node: str) -> None:
        self._fleet = fleet
        self._node = node
        self._buffer = bytearray()
        self._data = bytearray()
        self.bytes = 0
        self.got: dict[ResourceType, float] = {}
        self.since: dict[ResourceType, float] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        first, *others = [kind for kind in self._fleet.wanted if kind not in _CHILD.values()]
        requests = [self._fleet.request(first, self._node), *map(self._fleet.request, others)]
        start = opening(_METHODS[self._fleet.variant], narrow=self._fleet.stalled)
        self._transport.write(start + b"".join(requests))
        if self._fleet.stalled:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fleet.broken.append(f"{self._node}: {exc or 'closed'}")

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at, size = 0, len(buffer)
        while size - at >= 9:
            length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            end = at + 9 + length
            if size < end:
                break
            kind = buffer[at + 3]
            if kind == _DATA:
                self.bytes += length
                self._data += buffer[at + 9 : end]
                self._messages()
            elif kind == _PING and not buffer[at + 4] & _ACK:
                self._transport.write(frame(_PING, _ACK, 0, bytes(buffer[at + 9 : end])))
            elif kind == _SETTINGS and not buffer[at + 4] & _ACK:
                self._transport.write(frame(_SETTINGS, _ACK, 0, b""))
            elif kind in (_RST, _GOAWAY) or (kind == _HEADERS and buffer[at + 4] & 1):
                self._fleet.broken.append(f"{self._node}: frame {kind} {bytes(buffer[at + 9 : end])!r}")
            at = end
        del buffer[:at]

    def _messages(self) -> None:
        data = self._data
        while len(data) >= 5:
            end = 5 + int.from_bytes(data[1:5], "big")
            if len(data) < end:
                return
            self._respond(memoryview(data)[5:end])
            del data[:end]

    def _respond(self, body: memoryview) -> None:
        now = time.monotonic()
        found = top_level(body)
        body.release()
        url = found[4] if self._fleet.variant == "delta" else found.get(4, b"")
        kind = _BY_URL[url]
        self.since.setdefault(kind, now)
        answer = self._fleet.ack(kind, found.get(1, b""), found[5])
        if kind not in self.got and (child := _CHILD.get(kind)) in self._fleet.wanted and child is not None:
            answer = self._fleet.request(child) + answer
        self.got.setdefault(kind, now)
        self._transport.write(answer)


def top_level(body: memoryview) -> dict[int, bytes]:
    """Read the scalar strings of a response by field number, stepping over its resources."""
    found: dict[int, bytes] = {}
    at, size = 0, len(body)
    while at < size:
        number = body[at] >> 3
        at += 1
        length = shift = 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if body[at - 1 - shift // 7] & 7 == 2:
            if number != 2:
                found[number] = bytes(body[at : at + length])
            at += length
    return found


async def serve(fleet: Fleet, port: int, count: int, prefix: str) -> None:
    """Open the connections, then answer commands until the input ends."""
    loop = asyncio.get_running_loop()

    async def one(number: int) -> None:
        node = f"{prefix}{number}"
        _, client = await loop.create_connection(lambda: Client(fleet, node), "127.0.0.1", port)
        fleet.streams.append(client)

    for at in range(0, count, 100):
        await asyncio.gather(*(one(number) for number in range(at, min(at + 100, count))))
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    commands: dict[str, Callable[[str], object]] = {
        "mark": lambda _: fleet.mark(),
        "received": fleet.received,
        "synced": lambda _: fleet.synced(),
        "bytes": lambda _: sum(client.bytes for client in fleet.streams),
        "broken": lambda _: fleet.broken,
    }
    while line := (await reader.readline()).decode().split():
        print(json.dumps(commands[line[0]](line[-1])), flush=True)


def main() -> None:
    """Run clients until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--clusters", type=int, required=True)
    parser.add_argument("--variant", choices=_METHODS, default="delta")
    parser.add_argument("--prefix", default="node-")
    parser.add_argument("--stalled", action="store_true", help="read nothing")
    options = parser.parse_args()
    names = {ENDPOINT: [f"cell-{n}" for n in range(options.clusters)], ROUTE: ["edge"]}
    fleet = Fleet(options.variant, (CLUSTER, ENDPOINT, LISTENER, ROUTE), names, options.stalled)
    uvloop.run(serve(fleet, options.port, options.streams, options.prefix))


if __name__ == "__main__":
    main()
