"""What is published, what is held, what is refused, and what stands meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cellplane.latest import Latest
from cellplane.publisher import Publisher
from cellplane.pushes import EDGE, GOOD, RELEASED
from cellplane.recorder import Wish
from envoy.edge import EdgeSettings
from tests.cellplane.views import STAMP, cell, view
from tests.processes import eventually
from topology.model import CellState, Document
from topology.view import View
from xds.cache import Cache
from xds.resource import CLUSTER, ENDPOINT, ROUTE
from xds.snapshot import Change, Snapshot

START = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


@dataclass
class Wishes:
    """Takes what a recorder is told."""

    told: list[Wish] = field(default_factory=list)

    def wish(self, wish: Wish) -> None:
        self.told.append(wish)


@dataclass(eq=False)
class Stream:
    """Takes what a stream is offered."""

    offered: list[tuple[Snapshot, Change]] = field(default_factory=list)

    def offer(self, snapshot: Snapshot, change: Change) -> None:
        self.offered.append((snapshot, change))

    def end(self, _: object) -> None:
        raise AssertionError("nobody ends this stream")


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Rig:
    cache: Cache
    stream: Stream
    wishes: Wishes
    publisher: Publisher
    clock: Clock

    def clusters(self) -> set[str]:
        current = self.cache.current(EDGE)
        return set(current.of_type(CLUSTER)) if current else set()


@pytest.fixture
def rig_with() -> Callable[[View | None], Rig]:
    def make(saved: View | None = None) -> Rig:
        cache, stream, wishes = Cache(), Stream(), Wishes()
        cache.join(EDGE, stream)
        clock = Clock()
        return Rig(cache, stream, wishes, Publisher(cache, EdgeSettings(), wishes, saved, clock), clock)

    return make


@pytest.fixture
def rig(rig_with: Callable[[View | None], Rig]) -> Rig:
    return rig_with(None)


def cells(*ids: int) -> list[Any]:
    return [cell(each) for each in ids]


def test_a_view_becomes_the_current_snapshot_of_its_revision(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1, 2)))

    current = rig.cache.current(EDGE)
    assert current is not None
    assert (current.revision, rig.clusters()) == (7, {"cell-1", "cell-2"})
    assert rig.publisher.state.published is rig.publisher.state.view
    assert (rig.wishes.told[-1].clusters, rig.wishes.told[-1].held) == (2, None)


def test_an_endpoint_change_never_waits_and_sends_endpoints_alone(rig: Rig) -> None:
    first = view(7, cells(1, 2))
    rig.publisher.offer(first)
    moved = replace(first.cells[2], endpoints=(replace(first.cells[2].endpoints[0], weight=5),))

    assert rig.publisher.offer(replace(first, revision=8, cells={**first.cells, 2: moved})) is None

    snapshot, change = rig.stream.offered[-1]
    assert (snapshot.revision, set(change)) == (8, {ENDPOINT})
    assert change[ENDPOINT].upserted == ("cell-2",)


def test_a_second_change_of_clusters_waits_for_company(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1)))

    wait = rig.publisher.offer(view(8, cells(1, 2)))

    assert wait is not None
    assert 0 < wait <= 0.05
    assert rig.clusters() == {"cell-1"}


async def test_what_waited_goes_with_what_came_after_it(rig: Rig) -> None:
    views: Latest[View] = Latest()
    running = asyncio.ensure_future(rig.publisher.run(views))

    async def has(*names: str) -> bool:
        return rig.clusters() == set(names)

    try:
        views.set(view(7, cells(1)))
        await eventually(lambda: has("cell-1"), "the first at once")
        views.set(view(8, cells(1, 2)))
        await asyncio.sleep(0)
        views.set(view(9, cells(1, 2, 3)))
        await eventually(lambda: has("cell-1", "cell-2", "cell-3"), "the rest together")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [snapshot.revision for snapshot, _ in rig.stream.offered] == [7, 9]


def test_a_drain_is_offered_again_at_its_next_step_and_changes_routes_alone(rig: Rig) -> None:
    draining = view(7, [cell(1), cell(2, CellState.DRAINING)])

    assert rig.publisher.offer(draining) == pytest.approx(1.0)
    rig.clock.now = START.replace(second=5)
    rig.publisher._debounce = type(rig.publisher._debounce)()  # quiet again
    rig.publisher.offer(draining)

    assert set(rig.stream.offered[-1][1]) == {ROUTE}


def test_the_loss_of_most_clusters_is_held_and_the_last_good_stands(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1, 2, 3, 4)))
    rig.publisher._debounce = type(rig.publisher._debounce)()
    rig.publisher.offer(view(8, cells(1)))

    held = rig.publisher.state.held
    assert held is not None
    assert (held.clusters_before, held.clusters_after, held.revision) == (4, 1, 8)
    assert rig.clusters() == {"cell-1", "cell-2", "cell-3", "cell-4"}
    assert (rig.wishes.told[-1].clusters, rig.wishes.told[-1].held) == (4, held)
    published = rig.wishes.told[-1].save
    assert published is not None
    assert published.revision == 7, "what is saved is what was published"


def test_the_half_of_four_may_go(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1, 2, 3, 4)))
    rig.publisher._debounce = type(rig.publisher._debounce)()
    rig.publisher.offer(view(8, cells(1, 2)))

    assert rig.publisher.state.held is None
    assert rig.clusters() == {"cell-1", "cell-2"}


def test_the_good_count_of_the_store_guards_a_replica_that_has_just_started(rig: Rig) -> None:
    good = Document(kind=GOOD, name=EDGE, body={"clusters": 6}, stamp=STAMP)
    rig.publisher.offer(replace(view(8, cells(1, 2)), documents={(GOOD, EDGE): good}))

    assert rig.publisher.state.held is not None
    assert rig.cache.current(EDGE) is None, "nothing known to be good: streams are refused"


def test_a_held_start_serves_the_saved_view(rig_with: Callable[[View | None], Rig]) -> None:
    rig = rig_with(replace(view(5, cells(1, 2, 3, 4, 5)), stale=True))
    rig.publisher.offer(view(8, cells(1)))

    assert rig.publisher.state.held is not None
    assert rig.clusters() == {f"cell-{n}" for n in range(1, 6)}
    assert rig.wishes.told[-1].save is None, "what came from the file is not written to it"


def test_a_release_lets_the_very_push_go(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1, 2, 3, 4)))
    rig.publisher._debounce = type(rig.publisher._debounce)()
    shrunk = view(8, cells(1))
    rig.publisher.offer(shrunk)
    held = rig.publisher.state.held
    assert held is not None
    other = Document(kind=RELEASED, name="other", body={}, stamp=STAMP)
    rig.publisher.offer(replace(shrunk, revision=9, documents={(RELEASED, "other"): other}))
    assert rig.clusters() != {"cell-1"}, "another push's release is not this one's"

    release = Document(kind=RELEASED, name=held.id, body={}, stamp=STAMP)
    rig.publisher.offer(replace(shrunk, revision=10, documents={(RELEASED, held.id): release}))

    assert rig.publisher.state.held is None
    assert rig.clusters() == {"cell-1"}


def test_rules_that_cannot_be_read_are_named_and_the_last_good_ones_stand(rig: Rig) -> None:
    first = view(7, cells(1, 2))
    rig.publisher.offer(first)
    before = rig.cache.current(EDGE)
    bad = Document(kind="rules", name="current", body={"schema": 1, "rules": []}, stamp=STAMP)
    rig.publisher.offer(replace(first, revision=8, documents={("rules", "current"): bad}))

    after = rig.cache.current(EDGE)
    assert before is not None
    assert after is not None
    assert "rules" in rig.publisher.state.rules_problem
    assert after.of_type(ROUTE) is before.of_type(ROUTE)

    rig.publisher.offer(replace(first, revision=9))
    assert rig.publisher.state.rules_problem == ""


def test_nothing_saved_is_nothing_served(rig: Rig) -> None:
    assert not rig.publisher.publish_saved()
    assert rig.cache.current(EDGE) is None


async def test_a_bug_in_translation_is_counted_and_the_last_good_stands(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    views: Latest[View] = Latest()
    running = asyncio.ensure_future(rig.publisher.run(views))
    try:
        views.set(view(7, cells(1)))

        async def published() -> bool:
            return bool(rig.clusters())

        await eventually(published, "the first")
        with monkeypatch.context() as patched:
            patched.setattr("cellplane.publisher.translate", lambda *_: 1 / 0)
            views.set(view(8, cells(1, 2)))

            async def failed() -> bool:
                return rig.publisher.state.failures == 1

            await eventually(failed, "the failure")
        assert rig.clusters() == {"cell-1"}
        views.set(view(9, cells(1, 2, 3)))

        async def third() -> bool:
            return len(rig.clusters()) == 3

        await eventually(third, "the next View")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "publish_failed" in caplog.text
