"""What a node rejected is not sent to it again; its last good version stands in."""

from __future__ import annotations

from tests.xds.configuration import cluster
from xds.holds import MAX_NAMES, MAX_VERSIONS, WITHHELD, Holds
from xds.resource import CLUSTER, ENDPOINT


def test_nothing_is_held_at_first() -> None:
    holds = Holds()
    assert holds.effective(cluster("a")) == cluster("a")
    assert holds.effective(None) is None
    assert holds.rejected(cluster("a")) is None


def test_a_rejected_version_is_withheld_and_others_are_not() -> None:
    holds = Holds()
    holds.reject(cluster("a"), "no", None)
    assert holds.effective(cluster("a")) is WITHHELD
    assert holds.effective(cluster("a", 2)) == cluster("a", 2)
    assert holds.effective(cluster("b")) == cluster("b")
    assert holds.rejected(cluster("a")) == "no"


def test_the_last_good_version_stands_in() -> None:
    holds, good = Holds(), cluster("a", 1)
    holds.reject(cluster("a", 2), "no", good)
    assert holds.effective(cluster("a", 2)) is good
    # Of the next rejected one it is not known what came before; that was good still is.
    holds.reject(cluster("a", 3), "no", None)
    assert holds.effective(cluster("a", 3)) is good
    holds.reject(good, "not any more", None)
    assert holds.effective(cluster("a", 3)) is WITHHELD


def test_a_hold_can_be_released() -> None:
    holds = Holds()
    holds.reject(cluster("a"), "no", None)
    assert list(holds.names()) == [(CLUSTER, "a")]
    holds.release((CLUSTER, "a"))
    assert holds.effective(cluster("a")) == cluster("a")
    holds.release((CLUSTER, "a"))


def test_memory_is_bounded() -> None:
    holds = Holds()
    for seconds in range(MAX_VERSIONS + 2):
        holds.reject(cluster("a", seconds), "no", None)
    assert holds.rejected(cluster("a", 0)) is None
    assert holds.rejected(cluster("a", MAX_VERSIONS + 1)) == "no"
    for number in range(MAX_NAMES):
        holds.reject(cluster(f"c{number}"), "no", None)
    assert len(list(holds.names())) == MAX_NAMES
    assert holds.rejected(cluster("a", MAX_VERSIONS + 1)) is None


def test_distrust_collects_names() -> None:
    holds = Holds()
    holds.distrust(CLUSTER, ["a"])
    holds.distrust(CLUSTER, ["b"])
    assert holds.distrusted == {CLUSTER: {"a", "b"}}
    assert ENDPOINT not in holds.distrusted
