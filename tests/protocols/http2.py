"""HTTP/2 by hand, for tests: a client that sends what no well-behaved one would, and a cell that notes what
it was sent, pseudo-headers too.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

Pairs = Sequence[tuple[str, str]]


def request(*headers: tuple[str, str], scheme: str = "http", path: str = "/") -> Pairs:
    """Give the headers of a request."""
    return (
        (":method", "GET"), (":scheme", scheme), (":authority", "edge.test"), (":path", path), *headers
    )  # fmt: skip


async def send_http2(
    port: int,
    headers: Pairs,
    tls: ssl.SSLContext | None = None,
    *,
    trailers: Pairs = (),
    answer: dict[str, str] | None = None,
) -> int:
    """Send a request over a connection of its own, headers as given; 0 where it was not answered at all.

    An `answer` is filled with the headers and trailers of what came, to its end.
    """
    if tls is not None:
        tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="edge.test" if tls else None
    )
    connection = H2Connection(
        H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    told = {} if answer is None else answer
    connection.initiate_connection()
    connection.send_headers(1, list(headers), end_stream=not trailers)
    if trailers:
        connection.send_headers(1, list(trailers), end_stream=True)
    try:
        async with asyncio.timeout(20):
            while True:
                writer.write(connection.data_to_send())
                data = await reader.read(65_536)
                if not data:
                    return 0
                for event in connection.receive_data(data):
                    match event:
                        case ResponseReceived(headers=found) if answer is None:
                            return int(dict(found)[b":status"])
                        case ResponseReceived(headers=found) | TrailersReceived(headers=found):
                            told.update(
                                (str(name, "latin-1"), str(value, "latin-1")) for name, value in found
                            )
                        case StreamEnded():
                            return int(told[":status"])
                        case StreamReset() | ConnectionTerminated():
                            return 0
    except ConnectionError:
        return 0
    finally:
        writer.close()


@dataclass
class Http2Cell:
    """Answers 200, with headers and trailers of its own making; keeps the headers of each request, and its
    trailers apart.
    """

    answers: Pairs = ()
    ends: Pairs = ()
    seen: list[dict[str, str]] = field(default_factory=list)
    trailers: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        connection.initiate_connection()
        try:
            while True:
                writer.write(connection.data_to_send())
                data = await reader.read(65_536)
                if not data:
                    break
                for event in connection.receive_data(data):
                    match event:
                        case RequestReceived(headers=found):
                            self.seen.append({str(name): str(value) for name, value in found})
                        case TrailersReceived(headers=found):
                            self.trailers.append({str(name): str(value) for name, value in found})
                        case StreamEnded(stream_id=stream):
                            head = [(":status", "200"), *self.answers]
                            connection.send_headers(stream, head, end_stream=not self.ends)
                            if self.ends:
                                connection.send_headers(stream, list(self.ends), end_stream=True)
        except ConnectionError:
            pass
        finally:
            writer.close()
