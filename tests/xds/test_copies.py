"""What is known of a client's copy, and what follows from it."""

from __future__ import annotations

from tests.xds.configuration import cluster, routes
from xds.copies import (
    ABSENT,
    MOST_OPTIONS,
    OTHER,
    UNKNOWN,
    Unsure,
    either,
    has_none_but_rejected,
    is_unsure,
    may_be_absent,
    may_name,
)
from xds.resource import CLUSTER

A, B = (CLUSTER, "a"), (CLUSTER, "b")


def test_one_or_the_other() -> None:
    one, two, three = cluster("a", 1), cluster("a", 2), cluster("a", 3)
    assert either(one, one) is one
    assert either(one, two) == Unsure((one, two))
    assert either(Unsure((one, two)), two) == Unsure((one, two))
    assert either(Unsure((one, two)), three) == Unsure((one, two, three))
    assert either(UNKNOWN, one) is UNKNOWN
    many = Unsure(tuple(cluster("a", seconds) for seconds in range(MOST_OPTIONS)))
    assert either(many, cluster("a", 99)) is UNKNOWN


def test_what_may_be_missing() -> None:
    assert [may_be_absent(has) for has in (ABSENT, UNKNOWN, OTHER, cluster("a"))] == [
        True,
        True,
        False,
        False,
    ]
    assert may_be_absent(Unsure((ABSENT, cluster("a"))))
    assert not may_be_absent(Unsure((cluster("a", 1), cluster("a", 2))))


def test_what_may_name_a_cluster() -> None:
    assert may_name(routes("r", "a"), A)
    assert not may_name(routes("r", "a"), B)
    assert may_name(Unsure((routes("r", "a"), routes("r", "b"))), B)
    assert not may_name(Unsure((routes("r", "a"), ABSENT)), B)
    assert [may_name(has, A) for has in (ABSENT, OTHER, UNKNOWN)] == [False, True, True]
    # Who tells of no references at all is not believed to have none.
    assert may_name(routes("r"), A)


def test_nothing_or_what_was_just_rejected() -> None:
    assert has_none_but_rejected(ABSENT)
    assert has_none_but_rejected(Unsure((ABSENT, cluster("a"))))
    assert not has_none_but_rejected(UNKNOWN)
    assert not has_none_but_rejected(Unsure((OTHER, cluster("a"))))


def test_doubt() -> None:
    assert [is_unsure(has) for has in (ABSENT, OTHER, UNKNOWN, Unsure(()))] == [False, False, True, True]
