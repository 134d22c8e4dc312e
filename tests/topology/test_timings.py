"""Times are counted up to each bound, as Prometheus wants them."""

from __future__ import annotations

import math

import pytest

from topology.timings import Timings


def test_each_time_counts_in_every_bound_that_it_keeps() -> None:
    timings = Timings((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        timings.add(seconds)
    assert list(timings.buckets()) == [(0.1, 2), (1.0, 3), (math.inf, 4)]
    assert timings.count == 4
    assert timings.total_seconds == pytest.approx(7.65)
