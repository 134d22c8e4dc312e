from __future__ import annotations

import pytest

from envoy.durations import seconds


@pytest.mark.parametrize(
    ("count", "whole", "nanos"),
    [
        (0, 0, 0),
        (5, 5, 0),
        (0.25, 0, 250_000_000),
        (1.0015, 1, 2_000_000),
        (3600.0, 3600, 0),
        (0.1, 0, 100_000_000),
    ],
)
def test_seconds_are_kept_to_the_millisecond(count: float, whole: int, nanos: int) -> None:
    made = seconds(count)
    assert (made.seconds, made.nanos) == (whole, nanos)
