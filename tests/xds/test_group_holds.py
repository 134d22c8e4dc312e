"""A rejection spreads from a node to its group on a second node's word; one node alone holds back nobody."""

from __future__ import annotations

import pytest

from tests.xds.configuration import cluster, endpoints
from xds.group_holds import MAX_RECORDS, GroupHolds
from xds.hold_record import MAX_VERSIONS, HoldRecord, RejectedVersion, Rejection
from xds.resource import CLUSTER, ENDPOINT

BAD, GOOD = cluster("a", 2), cluster("a", 1)
KEY = (CLUSTER, "a")


def group_of(**nodes: str) -> tuple[GroupHolds, list[HoldRecord]]:
    kept: list[HoldRecord] = []
    group = GroupHolds(recorded=kept.append)
    for node, envoy in nodes.items():
        group.joined(node, envoy)
    return group, kept


def withheld_from(group: GroupHolds, *nodes: str) -> list[str]:
    return [node for node in nodes if group.withholds(BAD, node)]


# Each row: the nodes, who rejects in turn, whether it is held for all, whether on one node's word.
DECISIONS = [
    ({"n1": "1.40.0"}, ["n1"], True, True),
    ({"n1": "1.40.0", "n2": "1.40.0"}, ["n1"], False, False),
    ({"n1": "1.40.0", "n2": "1.40.0"}, ["n1", "n2"], True, False),
    ({"n1": "1.40.0", "n2": "1.40.0"}, ["n1", "n1"], False, False),
    # Another version of Envoy may have its own mind.
    ({"n1": "1.40.0", "n2": "1.39.0"}, ["n1", "n2"], False, False),
    ({"n1": "1.40.0", "n2": "1.39.0", "n3": "1.39.0"}, ["n1", "n2", "n3"], True, False),
]


@pytest.mark.parametrize(("nodes", "rejecting", "held", "alone"), DECISIONS)
def test_when_a_rejection_is_held_for_the_group(
    nodes: dict[str, str], rejecting: list[str], held: bool, alone: bool
) -> None:
    group, kept = group_of(**nodes)
    for node in rejecting:
        group.rejected(node, BAD, "no", GOOD)
    known = group.records[KEY].versions[BAD.version]
    assert (known.held, known.alone) == (held, alone)
    assert kept[-1] == group.records[KEY]
    assert group.good(KEY) == GOOD
    assert bool(kept[-1].held) == held
    # A new node of the group is not sent what is held, but may try what is not.
    group.joined("new", "1.40.0")
    assert withheld_from(group, "new") == (["new"] if held else [])
    assert not group.withholds(GOOD, "new")


def test_one_other_node_tries_and_the_rest_wait_for_what_it_says() -> None:
    group, _ = group_of(n1="v", n2="v", n3="v", old="u")
    group.rejected("n1", BAD, "no", None)
    assert group.is_tried(BAD, "n2")
    assert not group.is_tried(BAD, "old")
    group.try_on(BAD, "n2")
    assert withheld_from(group, "n1", "n2", "n3", "old") == ["n1", "n3"]
    group.accepted("n2", [BAD])
    assert withheld_from(group, "n1", "n2", "n3", "old") == ["n1"]
    assert not group.is_tried(BAD, "n3")


def test_a_second_rejection_ends_the_trial() -> None:
    group, _ = group_of(n1="v", n2="v", n3="v")
    group.rejected("n1", BAD, "no", None)
    group.try_on(BAD, "n2")
    group.rejected("n2", BAD, "no", None)
    assert withheld_from(group, "n1", "n2", "n3") == ["n1", "n2", "n3"]


def test_a_witness_that_goes_is_replaced() -> None:
    group, _ = group_of(n1="v", n2="v", n3="v")
    group.rejected("n1", BAD, "no", None)
    group.try_on(BAD, "n2")
    group.left("n2")
    assert group.is_tried(BAD, "n3")
    assert withheld_from(group, "n3") == []


def test_the_group_waits_for_a_search_and_only_once() -> None:
    group, _ = group_of(n1="v", n2="v")
    other = cluster("b")
    assert group.search_began("n1", [BAD, other])
    assert withheld_from(group, "n1", "n2") == ["n2"]
    group.search_ended("n1")
    assert withheld_from(group, "n1", "n2") == []
    # It rejects on and on: the others don't wait again.
    group.search_began("n1", [BAD, other])
    assert withheld_from(group, "n1", "n2") == []


def test_searches_of_several_types_end_each_on_its_own() -> None:
    group, _ = group_of(n1="v", n2="v")
    group.search_began("n1", [BAD])
    group.search_began("n1", [endpoints("a")])
    group.search_ended("n1", ENDPOINT)
    assert withheld_from(group, "n2") == ["n2"]
    assert not group.withholds(endpoints("a"), "n2")
    group.search_ended("n1", CLUSTER)
    assert withheld_from(group, "n2") == []


def test_nobody_waits_for_a_node_that_left() -> None:
    group, _ = group_of(n1="v", n2="v")
    group.search_began("n1", [BAD])
    group.left("n1")
    assert withheld_from(group, "n2") == []


def test_a_release_forgets_everything() -> None:
    group, kept = group_of(n1="v")
    group.rejected("n1", BAD, "no", GOOD)
    group.release(KEY)
    assert withheld_from(group, "n1") == []
    assert kept[-1] == HoldRecord(key=KEY)
    assert group.idle
    group.release(KEY)
    assert len(kept) == 2


def test_memory_is_bounded_and_what_is_forgotten_is_said() -> None:
    group, kept = group_of(n1="v")
    for seconds in range(MAX_VERSIONS + 1):
        group.rejected("n1", cluster("a", seconds), "no" * 5000, None)
    assert len(group.records[KEY].versions) == MAX_VERSIONS
    for number in range(MAX_RECORDS):
        group.rejected("n1", cluster(f"c{number}"), "no", None)
    assert len(group.records) == MAX_RECORDS
    assert HoldRecord(key=KEY) in kept
    assert max(len(one.message) for k in kept for v in k.versions.values() for one in v.rejections) == 2000


# --- other replicas


def record(*nodes: str, held: bool = False, alone: bool = False) -> HoldRecord:
    rejections = tuple(Rejection(node, "v", "no") for node in nodes)
    known = RejectedVersion(rejections=rejections, held=held, alone=alone)
    return HoldRecord(key=KEY, versions={BAD.version: known}, good=GOOD)


def test_what_another_replica_holds_is_held_here() -> None:
    group, kept = group_of()
    assert group.learn([record("n1", held=True, alone=True)]) == ()
    group.joined("n2", "v")
    assert withheld_from(group, "n2") == ["n2"]
    assert group.good(KEY) == GOOD
    assert kept == []
    # Told again, nothing changes, though there is another node now.
    group.learn([record("n1", held=True, alone=True)])
    assert withheld_from(group, "n2") == ["n2"]


def test_what_one_node_rejected_there_it_is_not_sent_here() -> None:
    group, _ = group_of(n1="v", n2="v")
    group.learn([record("n1")])
    assert withheld_from(group, "n1", "n2") == ["n1"]


def test_a_second_node_at_another_replica_counts() -> None:
    group, kept = group_of(n1="v", n3="v")
    group.rejected("n1", BAD, "no", None)
    group.learn([record("n2")])
    assert withheld_from(group, "n3") == ["n3"]
    assert kept[-1].held == (BAD.version,)


def test_who_was_alone_there_is_not_believed_where_others_are() -> None:
    group, kept = group_of(n2="v", n3="v")
    group.learn([record("liar", held=True, alone=True)])
    assert withheld_from(group, "liar", "n2", "n3") == ["liar"]
    assert kept[-1].held == ()


def test_what_is_no_longer_kept_is_released() -> None:
    group, _ = group_of()
    group.learn([record("n1", "n2", held=True)])
    assert group.learn([]) == (KEY,)
    assert withheld_from(group, "n3") == []
    # What is known here only is not.
    group.rejected("n1", BAD, "no", None)
    assert group.learn([]) == ()
    assert withheld_from(group, "n1") == ["n1"]


def test_who_was_alone_is_overruled_by_a_replica_that_has_others() -> None:
    here, kept_here = group_of(n1="v")
    there, kept_there = group_of(n2="v", n3="v")
    here.rejected("n1", BAD, "no", None)
    there.learn([kept_here[-1]])
    here.learn([kept_there[-1]])
    here.joined("new", "v")
    assert withheld_from(here, "n1", "new") == ["n1"]
    assert kept_here[-1].held == (BAD.version,)
    assert len(kept_here) == 1


def test_who_rejected_what_type_is_known() -> None:
    group, _ = group_of(n1="v", n2="v")
    group.learn([record("n1", "n3")])
    assert [group.rejected_by(node) for node in ("n1", "n2", "n3")] == [{CLUSTER}, set(), {CLUSTER}]
