"""What gRPC really says, and what people read of it."""

from __future__ import annotations

import pytest

from topology.call_words import plain

FAILED = "failed to connect to all addresses; last error: "
UNRESOLVED = "errors resolving a.b:2379: [field:hostname lookup"


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (
            f"{FAILED}UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused",
            "Connection refused",
        ),
        (f"{FAILED}UNKNOWN: ipv6:%5B::1%5D:1: Failed to connect to remote host: No route", "No route"),
        (
            f"{FAILED}UNAVAILABLE: ipv4:127.0.0.1:1: Ssl handshake failed (TSI): wrong version",
            "Ssl handshake failed (TSI): wrong version",
        ),
        (
            f"{UNRESOLVED} error:address lookup failed for a.b:2379: Domain name not found]",
            "Domain name not found",
        ),
        ("etcdserver: no leader", "etcdserver: no leader"),
    ],
)
def test_the_reason_alone_is_told(words: str, read: str) -> None:
    assert plain(words) == read
