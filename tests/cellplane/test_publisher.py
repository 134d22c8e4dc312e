"""What is published, what is held, what is refused, and what stands meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from cellplane.latest import Latest
from cellplane.publisher import Publisher
from cellplane.push_diff import lines
from cellplane.push_tracker import Pushed
from cellplane.pushes import EDGE, EVERYTHING, FROZEN, GOOD, RELEASED
from cellplane.recorder import Wish
from envoy.edge import EdgeSettings
from envoy.rules import DEFAULT_RULESET
from tests.cellplane.views import STAMP, cell, view
from tests.processes import eventually
from topology.model import CellState, Document, Endpoint
from topology.view import View
from xds.cache import Cache
from xds.debounce import WINDOW_SECONDS, Debounce
from xds.nodes import Node
from xds.resource import CLUSTER, ENDPOINT, ROUTE
from xds.snapshot import Change, Snapshot

RULES = len(DEFAULT_RULESET.rules)

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
    pushed: list[Pushed]

    def clusters(self) -> set[str]:
        current = self.cache.current(EDGE)
        return set(current.of_type(CLUSTER)) if current else set()


@pytest.fixture
def rig_with() -> Callable[[View | None], Rig]:
    def make(saved: View | None = None) -> Rig:
        cache, stream, wishes = Cache(), Stream(), Wishes()
        cache.join(EDGE, stream, Node(id="edge-1"))
        clock, pushed = Clock(), list[Pushed]()
        publisher = Publisher(cache, EdgeSettings(), wishes, saved, clock, tell=pushed.append)
        return Rig(cache, stream, wishes, publisher, clock, pushed)

    return make


@pytest.fixture
def rig(rig_with: Callable[[View | None], Rig]) -> Rig:
    return rig_with(None)


def frozen(of: View) -> View:
    document = Document(kind=FROZEN, name=EVERYTHING, body={}, stamp=STAMP)
    return replace(of, documents={**of.documents, (FROZEN, EVERYTHING): document})


def cells(*ids: int) -> list[Any]:
    return [cell(each) for each in ids]


def test_a_view_becomes_the_current_snapshot_of_its_revision(rig: Rig) -> None:
    rig.publisher.offer(view(7, cells(1, 2)))

    current = rig.cache.current(EDGE)
    assert current is not None
    assert (current.revision, rig.clusters()) == (7, {"cell-1", "cell-2"})
    assert rig.publisher.state.published is rig.publisher.state.view
    assert (rig.wishes.told[-1].good, rig.wishes.told[-1].held) == ((2, RULES), None)


def test_an_endpoint_change_never_waits_and_sends_endpoints_alone(rig: Rig) -> None:
    first = view(7, cells(1, 2))
    rig.publisher.offer(first)
    moved = replace(first.cells[2], endpoints=(replace(first.cells[2].endpoints[0], weight=5),))

    assert rig.publisher.offer(replace(first, revision=8, cells={**first.cells, 2: moved})) is None

    snapshot, change = rig.stream.offered[-1]
    assert (snapshot.revision, set(change)) == (8, {ENDPOINT})
    assert change[ENDPOINT].upserted == ("cell-2",)


def test_a_second_change_of_clusters_waits_for_company(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellplane.publisher.time", SimpleNamespace(monotonic=lambda: 0.0))
    rig.publisher.offer(view(7, cells(1)))

    wait = rig.publisher.offer(view(8, cells(1, 2)))

    assert wait == 0.05
    assert rig.clusters() == {"cell-1"}


async def test_what_waited_goes_with_what_came_after_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]  # the window ends when the test says so, however slow the machine is
    monkeypatch.setattr("cellplane.publisher.time", SimpleNamespace(monotonic=lambda: now[0]))
    views: Latest[View] = Latest()
    running = asyncio.ensure_future(rig.publisher.run(views))

    async def has(*names: str) -> bool:
        return rig.clusters() == set(names)

    try:
        views.set(view(7, cells(1)))
        await eventually(lambda: has("cell-1"), "the first at once")
        views.set(view(8, cells(1, 2)))

        async def waits() -> bool:
            return rig.publisher.state.view is not None and rig.publisher.state.view.revision == 8

        await eventually(waits, "the next to wait")
        views.set(view(9, cells(1, 2, 3)))
        now[0] += WINDOW_SECONDS
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
    assert (rig.wishes.told[-1].good, rig.wishes.told[-1].held) == ((4, RULES), held)
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
            patched.setattr("cellplane.translator.translate", lambda *_: 1 / 0)
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


def offer_all(rig: Rig, *views: View) -> None:
    """Offer Views as if each came after a time of quiet."""
    for each in views:
        rig.publisher._debounce = Debounce()
        rig.publisher.offer(each)


def test_each_push_is_told_with_what_it_changed_and_one_without_change_is_none(rig: Rig) -> None:
    offer_all(rig, view(7, cells(1)), view(8, cells(1)), view(9, cells(1, 2)))
    assert [(each.before and each.before.revision, each.after.revision) for each in rig.pushed] == [
        (None, 7),
        (8, 9),
    ]
    assert rig.pushed[1].change[CLUSTER].upserted == ("cell-2",)


def test_time_runs_from_the_first_news_that_a_push_carries(rig: Rig) -> None:
    rig.publisher.arrived(view(7, cells(1)))
    first = rig.publisher._arrived_at
    rig.publisher.arrived(view(7, cells(1)))
    offer_all(rig, view(7, cells(1)))
    assert [each.arrived_at for each in rig.pushed] == [first]
    offer_all(rig, view(8, cells(1, 2)))
    assert rig.pushed[1].arrived_at > rig.pushed[0].arrived_at


def test_while_frozen_nothing_goes_out_not_even_an_endpoint(rig: Rig) -> None:
    offer_all(rig, view(7, cells(1, 2)))
    moved = replace(cell(2), endpoints=(Endpoint(host="10.9.9.9", port=1),))
    offer_all(rig, frozen(view(8, [cell(1), moved])), frozen(view(9, [cell(1), moved, cell(3)])))
    assert [snapshot.revision for snapshot, _ in rig.stream.offered] == [7]
    assert rig.publisher.state.frozen is not None
    assert rig.publisher.state.frozen.by == "ada"
    waiting = rig.publisher.pending()
    assert waiting is not None
    assert lines(waiting)[0].startswith("cell 2: endpoints: ")
    offer_all(rig, view(10, [cell(1), moved, cell(3)]))
    assert [snapshot.revision for snapshot, _ in rig.stream.offered] == [7, 10]
    assert rig.publisher.pending() is None


def test_a_replica_that_starts_while_frozen_serves_what_was_saved_or_nothing(
    rig_with: Callable[[View | None], Rig],
) -> None:
    rig = rig_with(view(7, cells(1)))
    offer_all(rig, frozen(view(9, cells(1, 2))))
    assert rig.clusters() == {"cell-1"}
    rig = rig_with(None)
    offer_all(rig, frozen(view(9, cells(1, 2))))
    assert rig.cache.current(EDGE) is None, "Envoys go on with what they have"


def test_a_quarantine_goes_out_past_a_held_push_and_comes_back(rig: Rig) -> None:
    offer_all(rig, view(7, cells(1, 2, 3, 4, 5, 6)))
    burning = cell(2, CellState.QUARANTINED)
    offer_all(rig, view(8, cells(1, 2)), view(9, [cell(1), burning]))
    assert rig.publisher.state.held is not None, "what is lost is still held"
    assert len(rig.clusters()) == 6
    assert [each.after.cells[2].state for each in rig.pushed] == [CellState.ACTIVE, CellState.QUARANTINED]
    assert rig.pushed[1].change.keys() == {ROUTE}
    assert rig.stream.offered[-1][0].revision == 9
    offer_all(rig, view(10, [cell(1), burning]))
    assert len(rig.pushed) == 2, "nothing that passes has changed"
    offer_all(rig, view(11, cells(1, 2)))
    assert rig.pushed[-1].after.cells[2].state is CellState.ACTIVE
    assert len(rig.clusters()) == 6
    offer_all(rig, view(12, cells(1, 2, 3, 4, 5, 6)))
    assert rig.publisher.state.held is None


def test_a_quarantine_passes_at_a_replica_that_started_while_it_was_held(
    rig_with: Callable[[View | None], Rig],
) -> None:
    rig = rig_with(view(7, cells(1, 2, 3, 4, 5, 6)))
    offer_all(rig, view(8, [cell(1), cell(2, CellState.QUARANTINED)]))
    assert rig.publisher.state.held is not None
    assert len(rig.clusters()) == 6
    assert rig.pushed[-1].after.cells[2].state is CellState.QUARANTINED
