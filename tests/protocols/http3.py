"""A client of HTTP/3, for tests: one connection over QUIC, requests side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

from tests.envoy.edge_rig import Answer


class Http3Client(QuicConnectionProtocol):
    """Sends requests and gives their answers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http = H3Connection(self._quic)
        self._heads: dict[int, tuple[tuple[str, str], ...]] = {}
        self._bodies: dict[int, bytes] = {}
        self._ends: dict[int, asyncio.Future[None]] = {}

    async def send(
        self,
        path: str = "/",
        headers: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        body: bytes = b"",
        scheme: str = "https",
    ) -> Answer:
        """Send a request and wait for the whole answer."""
        stream = self._quic.get_next_available_stream_id()
        self._ends[stream] = asyncio.get_running_loop().create_future()
        pairs = [(":method", method), (":scheme", scheme), (":authority", "edge.test"), (":path", path)]
        self._http.send_headers(
            stream,
            [(name.encode(), value.encode("latin-1")) for name, value in (*pairs, *headers)],
            end_stream=not body,
        )
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        async with asyncio.timeout(10):
            await self._ends[stream]
        found = self._heads[stream]
        status = int(dict(found)[":status"])
        return Answer(status, found, self._bodies.get(stream, b"").decode())

    def quic_event_received(self, event: QuicEvent) -> None:
        """Take in what the connection has for us."""
        for each in self._http.handle_event(event):
            match each:
                case HeadersReceived(headers=headers, stream_id=stream):
                    pairs = tuple((name.decode(), value.decode()) for name, value in headers)
                    self._heads.setdefault(stream, pairs)
                case DataReceived(data=data, stream_id=stream):
                    self._bodies[stream] = self._bodies.get(stream, b"") + data
                case _:
                    continue
            if each.stream_ended and not self._ends[stream].done():
                self._ends[stream].set_result(None)


@asynccontextmanager
async def http3_client(
    port: int, ca: Path, client: tuple[Path, Path] | None = None
) -> AsyncIterator[Http3Client]:
    """Connect to this machine, and trust one authority only."""
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name="edge.test")
    configuration.load_verify_locations(str(ca))
    if client:
        configuration.load_cert_chain(*client)
    async with connect(
        "127.0.0.1", port, configuration=configuration, create_protocol=Http3Client, local_port=0
    ) as protocol:
        assert isinstance(protocol, Http3Client)
        yield protocol
