"""The options are sane as they come, and gRPC is told of them."""

from __future__ import annotations

from xds.options import ServerOptions


def test_grpc_is_told_of_the_limits() -> None:
    channel = dict(ServerOptions(share_port=True, max_request_bytes=1000, keepalive_seconds=2.5).channel())
    assert channel["grpc.so_reuseport"] == 1
    assert channel["grpc.max_receive_message_length"] == 1000
    assert channel["grpc.keepalive_time_ms"] == 2500
    assert channel["grpc.http2.bdp_probe"] == 0
    assert dict(ServerOptions().channel())["grpc.so_reuseport"] == 0


def test_nothing_is_unlimited_as_it_comes() -> None:
    options = ServerOptions()
    assert options.streams_per_second > 0
    assert 0 < options.first_message_seconds < options.write_timeout_seconds < options.identity_seconds
    assert options.identity_seconds < options.max_age_seconds <= 12 * 3600
