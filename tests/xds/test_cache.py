"""The cache holds the newest snapshot of each group and tells who has joined."""

from __future__ import annotations

import pytest

from tests.xds.configuration import both, listener, routes, snapshot
from xds.cache import Cache, Published, Refused
from xds.nodes import Node
from xds.resource import CLUSTER, ENDPOINT, ROUTE
from xds.snapshot import Change, Snapshot, TypeChange
from xds.wire import ProtocolError, Status

NODE = Node(id="n")


class Ear:
    """Remembers what it is offered."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Change]] = []

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        self.heard.append((snapshot.revision, change))

    def end(self, reason: ProtocolError) -> None:
        raise AssertionError(reason)


class DeafEar(Ear):
    """Fails at each offer, and remembers how it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[ProtocolError] = []

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        raise KeyError("no such thing")

    def end(self, reason: ProtocolError) -> None:
        self.ended.append(reason)


def test_nothing_published_is_not_the_same_as_empty() -> None:
    cache = Cache()
    assert cache.current("group") is None
    cache.publish("group", snapshot(1))
    assert cache.current("group") == snapshot(1)


def test_a_group_hears_of_its_own_snapshots_and_what_they_change() -> None:
    cache, one, other = Cache(), Ear(), Ear()
    cache.join("one", one, NODE)
    cache.join("other", other, NODE)
    everything = {CLUSTER: TypeChange(("a",)), ENDPOINT: TypeChange(("a",))}
    assert cache.publish("one", snapshot(1, both("a"))) == Published(everything)
    cache.publish("one", snapshot(2, both("a", port=81)))
    cache.publish("other", snapshot(3))
    assert one.heard == [(1, everything), (2, {ENDPOINT: TypeChange(("a",))})]
    assert other.heard == [(3, {})]


def test_all_of_a_group_are_offered_the_same_objects() -> None:
    cache, ears = Cache(), [Ear(), Ear()]
    for ear in ears:
        cache.join("group", ear, NODE)
    cache.publish("group", snapshot(1, both("a")))
    assert ears[0].heard[0][1] is ears[1].heard[0][1]


def test_a_stream_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cache, before, broken, after = Cache(), Ear(), DeafEar(), Ear()
    for ear in (before, broken, after):
        cache.join("group", ear, NODE)
    assert isinstance(cache.publish("group", snapshot(1, both("a"))), Published)
    assert [revision for revision, _ in before.heard + after.heard] == [1, 1]
    assert [reason.status for reason in broken.ended] == [Status.UNAVAILABLE]
    assert cache.failures == 1
    assert "offer_failed group=group revision=1" in caplog.text


def test_who_has_left_hears_no_more() -> None:
    cache, ear = Cache(), Ear()
    cache.join("group", ear, NODE)
    cache.leave("group", ear)
    cache.leave("group", ear)
    cache.publish("group", snapshot(1, both("a")))
    assert not ear.heard


def test_rule_50_and_72_a_snapshot_that_contradicts_itself_is_refused_and_the_last_one_stands() -> None:
    cache, ear = Cache(), Ear()
    good = snapshot(1, both("a"), listener("l", "r"), routes("r", "a"))
    cache.publish("group", good)
    cache.join("group", ear, NODE)
    outcome = cache.publish("group", snapshot(2, both("a"), listener("l", "r"), routes("r", "gone")))
    assert isinstance(outcome, Refused)
    assert [problem.source for problem in outcome.problems] == [(ROUTE, "r")]
    assert cache.current("group") is good
    assert not ear.heard


def canary(node: Node) -> bool:
    return node.id == "canary"


def test_some_nodes_have_a_snapshot_of_their_own_until_all_have_the_same_again() -> None:
    cache, few, many = Cache(), Ear(), Ear()
    cache.publish("group", snapshot(1, both("a")))
    cache.join("group", few, Node(id="canary"))
    cache.join("group", many, NODE)
    more = {CLUSTER: TypeChange(("b",)), ENDPOINT: TypeChange(("b",))}

    assert cache.stage("group", snapshot(2, both("a"), both("b")), canary) == Published(more)
    assert (few.heard, many.heard) == ([(2, more)], [])

    cache.publish("group", snapshot(3, both("a", port=81)))
    assert few.heard == [(2, more)], "what is published is not for whom something is staged"
    assert many.heard == [(3, {ENDPOINT: TypeChange(("a",))})]

    cache.unstage("group")
    back = {
        CLUSTER: TypeChange((), ("b",)),
        ENDPOINT: TypeChange(("a",), ("b",)),
    }
    assert few.heard[1:] == [(3, back)]
    assert len(many.heard) == 1
    cache.unstage("group")
    assert len(few.heard) == 2, "nothing is told twice"


def test_who_connects_is_given_what_is_staged_for_it() -> None:
    cache, few = Cache(), Ear()
    cache.publish("group", snapshot(1, both("a")))
    cache.stage("group", snapshot(2, both("a"), both("b")), canary)
    for node, revision in ((Node(id="canary"), 2), (NODE, 1), (None, 1)):
        current = cache.current("group", node)
        assert current is not None
        assert current.revision == revision
    cache.join("group", few, Node(id="canary"))
    cache.publish("group", snapshot(3, both("a"), both("b")))
    assert not few.heard
    assert [(name, each.revision) for name, each in cache.snapshots()] == [("group", 3)]


def test_a_wider_stage_is_offered_to_the_newcomers_alone() -> None:
    cache, few, many = Cache(), Ear(), Ear()
    cache.publish("group", snapshot(1, both("a")))
    cache.join("group", few, Node(id="canary"))
    cache.join("group", many, NODE)
    staged = snapshot(2, both("a"), both("b"))
    cache.stage("group", staged, canary)
    cache.stage("group", staged, lambda _: True)
    assert [len(few.heard), len(many.heard)] == [1, 1]
    cache.publish("group", staged)
    cache.unstage("group")
    assert [len(few.heard), len(many.heard)] == [1, 1], "all have it, and are told nothing"


def test_nothing_is_staged_that_contradicts_itself() -> None:
    cache, few = Cache(), Ear()
    cache.publish("group", snapshot(1, both("a"), listener("l", "r"), routes("r", "a")))
    cache.join("group", few, Node(id="canary"))
    bad = snapshot(2, both("a"), listener("l", "r"), routes("r", "gone"))
    assert isinstance(cache.stage("group", bad, canary), Refused)
    cache.unstage("group")
    assert not few.heard


def test_a_version_is_wanted_while_some_node_is_to_have_it() -> None:
    cache, key = Cache(), (ENDPOINT, "a")
    first, second = snapshot(1, both("a")), snapshot(2, both("a", port=81))
    versions = [one.of_type(ENDPOINT)["a"].version for one in (first, second)]
    assert not cache.wants("group", key, versions[0])
    cache.publish("group", first)
    cache.stage("group", second, lambda node: node.id == "n")
    assert [cache.wants("group", key, version) for version in versions] == [True, True]
    cache.unstage("group")
    assert [cache.wants("group", key, version) for version in versions] == [True, False]
    assert not cache.wants("group", (ENDPOINT, "b"), versions[0])
