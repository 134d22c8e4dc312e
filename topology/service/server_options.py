"""How the server treats its clients: sizes of messages, calls at once, pings.

The composition root says what differs, the server hands it to gRPC. `Request -> ClassificationKey ->
Decision`, and the third road: where calls come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from topology.service.gate import Around
from topology.service.places import NO_LIMIT, CallLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the server treats its clients. Clients send batches of up to 10 MB."""

    max_message_bytes: int = 16 * 1024 * 1024
    max_concurrent_calls: int = 4096
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    limit: CallLimit = NO_LIMIT
    around: Around | None = None

    def channel(self) -> list[tuple[str, int]]:
        """Spell them as gRPC wants them."""
        return [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.keepalive_timeout_seconds * 1000)),
            # Without it a mute peer is noticed only after a minute, whatever the line above says.
            ("grpc.http2.ping_timeout_ms", int(self.keepalive_timeout_seconds * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # The probe pings with nearly each message, to find this window; large batches are what needs one.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 1024 * 1024),
            # Clients ping too; gRPC's default would end them as too eager.
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            ("grpc.http2.max_ping_strikes", 0),
        ]


DEFAULT_OPTIONS: Final = ServerOptions()
