"""Who has a push and after how long, as the fleet tells it."""

from __future__ import annotations

from dataclasses import dataclass

from cellplane.push_tracker import MOST_TRACKED, MOST_UNWRITTEN, PushTracker, Tracked
from tests.cellplane.fleets import connected, response, synced
from tests.cellplane.pushing import pushed, view_of
from tests.cellplane.views import cell
from xds.status import Fleet, StreamStatus

BEFORE = view_of(10, cell(1))
AFTER = view_of(11, cell(1), cell(2), before=BEFORE)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    clock: Clock
    fleet: Fleet
    tracker: PushTracker

    def push(self) -> Tracked:
        self.tracker.published(pushed(BEFORE, AFTER, arrived_at=self.clock.now))
        return self.tracker.tracked[-1]


def rig() -> Rig:
    clock, fleet = Clock(), Fleet()
    return Rig(clock, fleet, PushTracker(fleet, clock))


def reject(stream: StreamStatus, version: str) -> None:
    bad = response(version)
    stream.sent(bad)
    stream.rejected(bad, ("cell-1",), "no")


def test_each_node_is_timed_from_the_changes_arrival() -> None:
    its = rig()
    one, two = synced(its.fleet, "one", 10), synced(its.fleet, "two", 10)
    push = its.push()
    assert set(push.waiting) == {"one", "two"}
    its.clock.now = 100.02
    one.settled(11)
    its.clock.now = 100.05
    two.settled(12)
    summary = push.acks().times.summary()
    assert (summary["nodes"], summary["first_ms"], summary["last_ms"]) == (2, 20.0, 50.0)
    assert push.waiting == {}
    times = its.tracker.convergence["edge"]
    assert [count for bound, count in times.buckets() if bound in {0.01, 0.025, 0.1}] == [0, 1, 2]


def test_a_node_counts_once_with_all_its_streams() -> None:
    its = rig()
    old, new = synced(its.fleet, "one", 10), synced(its.fleet, "one", 10)
    push = its.push()
    old.settled(11)
    assert set(push.waiting) == {"one"}, "its other stream lacks it"
    new.settled(11)
    new.settled(12)
    assert (push.waiting, push.times.nodes) == ({}, 1)


def test_who_is_not_concerned_has_it_at_once_and_other_groups_do_not_count() -> None:
    its = rig()
    synced(its.fleet, "settled while it was offered", 11)
    other = synced(its.fleet, "other", 10)
    other.node.group = "sidecar"
    push = its.push()
    assert (push.waiting, push.times.nodes) == ({}, 1)


def test_who_leaves_is_not_waited_for() -> None:
    its = rig()
    stream = synced(its.fleet, "one", 10)
    push = its.push()
    its.fleet.closed(stream)
    assert (push.waiting, push.left, push.times.nodes) == ({}, 1, 0)


def test_a_newer_push_brings_the_older_one() -> None:
    its = rig()
    stream = synced(its.fleet, "one", 10)
    first = its.push()
    second = its.push()
    stream.settled(11)
    assert (first.times.nodes, second.times.nodes) == (1, 1)


def test_a_rejection_is_blamed_on_the_push_that_it_came_with() -> None:
    its = rig()
    stream = synced(its.fleet, "one", 10)
    push = its.push()
    reject(stream, "11")
    reject(stream, "15")
    reject(stream, "10")
    reject(stream, "not a number")
    assert push.rejected == 3, "what came with an older one is not its fault"
    assert push.rejections[0] == {
        "node": "one", "type": "cluster", "at": push.rejections[0]["at"], "names": ["cell-1"], "message": "no"
    }  # fmt: skip


def test_many_rejections_are_counted_and_the_first_kept() -> None:
    its = rig()
    push = its.push()
    for number in range(30):
        reject(connected(its.fleet, f"n{number}"), "11")
    assert (push.rejected, len(push.rejections)) == (30, 10)


def test_nothing_grows_without_bound() -> None:
    its = rig()
    one = its.push().pushed
    for _ in range(MOST_UNWRITTEN + 4):
        its.tracker.published(one)
    assert len(its.tracker.tracked) == MOST_TRACKED
    assert (len(its.tracker.unwritten), its.tracker.forgotten) == (MOST_UNWRITTEN, 5)
