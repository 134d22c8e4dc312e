"""What a node rejected is not sent to it again; its last good version stands in."""

from __future__ import annotations

from math import ceil, log2

import pytest

from tests.xds.configuration import cluster, listener
from xds.holds import WITHHELD, Holds
from xds.resource import CLUSTER, ENDPOINT, LISTENER, Resource
from xds.search import SEARCH_SECONDS


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
    assert list(holds.held()) == [((CLUSTER, "a"), cluster("a").version, "no")]
    for _ in range(2):
        holds.release((CLUSTER, "a"))
        holds.group.release((CLUSTER, "a"))
        assert holds.effective(cluster("a")) == cluster("a")


def test_distrust_collects_names() -> None:
    holds = Holds()
    holds.distrust(CLUSTER, ["a"])
    holds.distrust(CLUSTER, ["b"])
    assert holds.distrusted == {CLUSTER: {"a", "b"}}
    assert ENDPOINT not in holds.distrusted


# --- searches


def resources(count: int) -> list[Resource]:
    return [cluster(f"c{number}") for number in range(count)]


def may_go(holds: Holds, all_of_them: list[Resource]) -> list[Resource]:
    return [one for one in all_of_them if holds.effective(one) == one]


@pytest.mark.parametrize("count", [2, 3, 5, 8, 17, 100])
def test_without_names_one_culprit_is_found_by_at_most_log2_n_rejections_more(count: int) -> None:
    for bad in range(count):
        holds, them = Holds(), resources(count)
        rejections = 1
        assert holds.blame(CLUSTER, [], them, {}, "no") == ()
        while (search := holds.search(CLUSTER)) is not None:
            sent = [one for one in may_go(holds, them) if one in search.pending]
            if them[bad] in sent:
                rejections += 1
                holds.blame(CLUSTER, [], sent, {}, "no")
            else:
                holds.accepted(CLUSTER, sent)
        assert rejections <= ceil(log2(count)) + 1
        assert may_go(holds, them) == [one for one in them if one is not them[bad]]
        assert holds.rejected(them[bad]) == "no"


def test_the_last_good_version_stands_in_for_what_is_not_tested() -> None:
    holds = Holds()
    new = [cluster("a", 2), cluster("b", 2)]
    holds.blame(CLUSTER, [], new, {"a": cluster("a"), "b": cluster("b")}, "no")
    assert [holds.effective(one) for one in new] == [cluster("a", 2), cluster("b")]


def test_who_rejects_on_and_on_is_searched_no_more() -> None:
    holds, them = Holds(), resources(64)
    rejections = 0
    while left := may_go(holds, them):
        rejections += 1
        holds.blame(CLUSTER, [], left, {}, "I say so")
    assert rejections < 40
    assert holds.search(CLUSTER) is None


def test_searches_that_are_called_off_do_not_count() -> None:
    holds, them = Holds(), resources(4)
    for _ in range(10):
        assert holds.blame(CLUSTER, [], them, {}, "no") == ()
        assert holds.search(CLUSTER) is not None
        holds.call_off(CLUSTER)
    assert may_go(holds, them) == them


def test_who_answers_no_test_is_searched_no_more_and_all_suspects_are_held() -> None:
    holds, them = Holds(), resources(4)
    holds.blame(CLUSTER, [], them, {}, "no")
    holds.tick(100.0)
    assert holds.due() == 100.0 + SEARCH_SECONDS
    holds.tick(100.0 + SEARCH_SECONDS)
    assert holds.search(CLUSTER) is None
    assert may_go(holds, them) == []
    assert holds.due() is None


# --- environment errors


def test_what_a_taken_port_prevents_is_tried_again_much_later_and_ever_later() -> None:
    holds, one = Holds("n"), listener("l")
    message = "Error adding/updating listener(s) l: cannot bind '127.0.0.1:80': Address already in use"
    now, pauses = 1000.0, []
    for _ in range(3):
        holds.blame(LISTENER, [one], [one], {}, message)
        holds.tick(now)
        assert holds.effective(one) is WITHHELD
        due = holds.due()
        assert due is not None
        holds.tick(due - 0.1)
        assert holds.effective(one) is WITHHELD
        holds.tick(due)
        assert holds.effective(one) == one
        assert holds.due() is None
        pauses.append(due - now)
        now = due
    assert 15 <= pauses[0] <= 30 < pauses[1] * 1.01 <= 61 < pauses[2] * 2.1 <= 300
    # It stays with the node.
    assert holds.group.records == {}
    # Once accepted, the next time is the first again.
    holds.accepted(LISTENER, [one])
    holds.blame(LISTENER, [one], [one], {}, message)
    holds.tick(now)
    assert holds.due() == now + pauses[0]


def test_a_release_ends_the_wait() -> None:
    holds, one = Holds("n"), listener("l")
    holds.blame(LISTENER, [one], [one], {}, "l: Address already in use")
    holds.release((LISTENER, "l"))
    assert holds.due() is None
    assert holds.effective(one) == one
