"""The pause before another try is long, doubles, has an end, and differs from node to node."""

from __future__ import annotations

import pytest

from xds.backoff import pause_seconds


@pytest.mark.parametrize(("attempt", "longest"), [(1, 30), (2, 60), (3, 120), (7, 1800), (1000, 1800)])
def test_pauses_double_up_to_half_an_hour(attempt: int, longest: float) -> None:
    pauses = [pause_seconds(f"node-{number}", attempt) for number in range(200)]
    assert all(longest / 2 <= pause <= longest for pause in pauses)
    assert max(pauses) - min(pauses) > longest / 3


def test_it_can_be_told_beforehand() -> None:
    assert pause_seconds("node", 2) == pause_seconds("node", 2)
