"""How a server treats its clients: limits, patience, and what that is in gRPC's own settings.

The composition root chooses, the server obeys (`Snapshot -> Response`). Values only.
"""

from dataclasses import dataclass

from xds.terms import MAX_NAME_CHARACTERS, MAX_NAMES, REMOVAL_GRACE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server treats its clients. All times are in seconds; those that repeat are jittered by a tenth,
    so that what began together does not end together.
    """

    removal_grace_seconds: float = REMOVAL_GRACE_SECONDS
    """How long after nobody names a cluster any more it is removed."""
    streams_per_second: float = 250.0
    """So many streams may begin, more get RESOURCE_EXHAUSTED and come back later; 0 lets all begin."""
    streams_at_once: int = 1000
    """So many may begin at once after a quiet time."""
    streams_of_a_node: int = 200
    """So many a node may have open. An Envoy has one, or one for each type, and twice that while it restarts;
    0 lets it have any number."""
    first_message_seconds: float = 10.0
    """An open stream that says nothing for so long is ended."""
    write_timeout_seconds: float = 30.0
    """A client that reads nothing for so long is let go."""
    max_age_seconds: float = 6 * 3600.0
    """A stream as old as this is asked to connect again, perhaps elsewhere; 0 lets it be. Nothing that the
    client has is sent again."""
    identity_seconds: float = 300.0
    """Who is served is asked again so often, for a stream outlives the permission it began with; 0 never
    asks."""
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    """A peer that answers no ping is gone: half-open connections are silent staleness."""
    max_request_bytes: int = 64 * 1024 * 1024
    """A reconnecting client lists all names and versions that it has."""
    max_names: int = MAX_NAMES
    """So many names of one type may be asked for on a stream."""
    max_name_characters: int = MAX_NAME_CHARACTERS
    """So long a name may be. More names, or longer ones, end the stream; on demand they are not there."""
    status_readers: frozenset[str] = frozenset()
    """Who may ask what clients were sent, where mutual TLS is on: common names, SPIFFE ids or DNS names."""
    share_port: bool = False
    """Let several processes listen on one port."""

    def channel(self) -> list[tuple[str, int]]:
        """Return gRPC's settings."""
        return [
            ("grpc.so_reuseport", int(self.share_port)),
            ("grpc.max_receive_message_length", self.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            # Probing for bandwidth costs a ping and an answer with nearly each message: a third of the CPU.
            # A window that takes most requests whole does without.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 256 * 1024),
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.keepalive_timeout_seconds * 1000)),
            # The one that counts: without it gRPC gives a mute peer 60 s.
            ("grpc.http2.ping_timeout_ms", int(self.keepalive_timeout_seconds * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # Clients ping too (Envoy's connection_keepalive); gRPC's default would end them as too eager.
            ("grpc.http2.min_ping_interval_without_data_ms", 1000),
            ("grpc.http2.max_ping_strikes", 0),
        ]
