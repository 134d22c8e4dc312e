"""The pause before another try is long, doubles, has an end, and differs from node to node."""

from __future__ import annotations

import pytest

from xds.backoff import MAX_RETRIES, Retries, pause_seconds
from xds.resource import CLUSTER


@pytest.mark.parametrize(("attempt", "longest"), [(1, 30), (2, 60), (3, 120), (7, 1800), (1000, 1800)])
def test_pauses_double_up_to_half_an_hour(attempt: int, longest: float) -> None:
    pauses = [pause_seconds(f"node-{number}", attempt) for number in range(200)]
    assert all(longest / 2 <= pause <= longest for pause in pauses)
    assert max(pauses) - min(pauses) > longest / 3


def test_it_can_be_told_beforehand() -> None:
    assert pause_seconds("node", 2) == pause_seconds("node", 2)


def test_what_is_due_is_given_out_once_and_later_the_next_time() -> None:
    retries, version = Retries(), ((CLUSTER, "a"), "0" * 16)
    retries.note(version)
    assert (list(retries.due_at(100.0, "n")), bool(retries)) == ([], True)
    first = retries.next_at
    assert first is not None
    assert list(retries.due_at(first - 0.1, "n")) == []
    assert list(retries.due_at(first, "n")) == [version]
    assert (list(retries.due_at(first + 1e6, "n")), retries.next_at) == ([], None)
    retries.note(version)
    list(retries.due_at(first, "n"))
    second = retries.next_at
    assert second is not None
    assert 30 <= second - first <= 60
    retries.forget(version)
    assert not retries


def test_retries_are_forgotten_by_resource_and_bounded() -> None:
    retries = Retries()
    for number in range(MAX_RETRIES + 1):
        retries.note(((CLUSTER, "a"), str(number)))
    list(retries.due_at(0.0, "n"))
    assert len(list(retries.due_at(31.0, "n"))) == MAX_RETRIES
    retries.forget_all((CLUSTER, "a"))
    assert not retries
