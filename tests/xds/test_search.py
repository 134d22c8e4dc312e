"""A search halves its suspects until one is left."""

from __future__ import annotations

from tests.xds.configuration import cluster
from xds.resource import Resource
from xds.search import Search


def search_of(count: int) -> tuple[Search, list[Resource]]:
    suspects = [cluster(f"c{number}") for number in range(count)]
    return Search(tuple(suspects), {}, "no"), suspects


def test_half_is_tested_and_the_rest_waits() -> None:
    search, (a, b, c, d, e) = search_of(5)
    assert [search.withholds(one) for one in (a, b, c, d, e)] == [False, False, True, True, True]
    assert not search.withholds(cluster("c4", 2))
    assert search.culprit is None


def test_what_is_rejected_is_halved_and_the_rest_still_waits() -> None:
    search, (a, b, c, d) = search_of(4)
    assert search.rejected([a, b])
    assert [search.withholds(one) for one in (a, b, c, d)] == [False, True, True, True]
    assert search.rejected([a])
    assert search.culprit == a


def test_what_is_accepted_is_cleared() -> None:
    search, (a, b, c, d) = search_of(4)
    assert search.accepted([a, b])
    assert [search.withholds(one) for one in (a, b, c, d)] == [False, False, False, True]
    assert search.accepted([c])
    assert search.culprit == d
    assert search.concerns(a)
    assert not search.concerns(None)


def test_only_what_was_sent_counts() -> None:
    search, (a, b, c, d) = search_of(4)
    assert not search.rejected([c, d])
    assert not search.accepted([])
    assert search.accepted([a])
    assert search.suspects == (b, c, d)
