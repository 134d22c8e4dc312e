"""Seconds as protobuf's Duration, for every translator (`View -> Snapshot`)."""

from __future__ import annotations

from google.protobuf import duration_pb2


def seconds(count: float) -> duration_pb2.Duration:
    """Make a Duration, to the millisecond."""
    milliseconds = round(count * 1000)
    return duration_pb2.Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
