"""Calls are counted by method."""

from __future__ import annotations

from topology.service.counts import Counts


def test_times_are_kept_apart_by_method() -> None:
    counts = Counts()
    for method, seconds in (("/s/A", 0.002), ("/s/A", 0.004), ("/s/B", 9.0)):
        counts.took(method, seconds)
    assert {method: times.count for method, times in counts.seconds.items()} == {"/s/A": 2, "/s/B": 1}
    assert counts.seconds["/s/A"].total_seconds > 0.0059
