"""The guard remembers what was good, here or elsewhere, and holds what loses too much of it."""

from __future__ import annotations

from dataclasses import replace

from cellplane.push_guard import PushGuard
from cellplane.pushes import RELEASED, HeldPush
from cellplane.wave_record import SETTINGS, WaveSettings
from envoy.edge import EdgeSettings
from envoy.translate import Translation, translate
from tests.cellplane.pushing import NOW, made_of, view_of
from tests.cellplane.views import STAMP, cell
from tests.envoy.rule_documents import HEADER, parsed, rule
from topology.model import Document
from topology.view import View

SIX = view_of(10, *(cell(number) for number in range(1, 7)))
TWO = view_of(11, cell(1), cell(2), before=SIX)


def guard(saved: View | None = None) -> PushGuard:
    return PushGuard(lambda: made_of(saved) if saved is not None else None, lambda: NOW)


def held(by: PushGuard, view: View, before: HeldPush | None = None) -> HeldPush | None:
    return by.held(view, made_of(view), before)


def test_nothing_is_held_where_nothing_is_known() -> None:
    assert held(guard(), TWO) is None


def test_a_loss_against_what_went_out_here_is_held_once() -> None:
    its = guard()
    its.note_good(made_of(SIX))
    push = held(its, TWO)
    assert push is not None
    assert (push.clusters_before, push.clusters_after, push.held_at) == (6, 2, "2026-11-22T10:00:05+00:00")
    assert held(its, TWO, push) is push
    assert its.holds == 1


def test_what_another_replica_recorded_and_what_was_saved_count_too() -> None:
    assert held(guard(saved=SIX), TWO) is not None
    recorded = view_of(12, cell(1), cell(2), before=SIX, **{"pushes-good__edge": {"clusters": 6}})
    assert held(guard(), recorded) is not None
    assert held(guard(saved=TWO), recorded) is not None, "the record is newer than the file"


def test_a_release_lets_it_go() -> None:
    its = guard(saved=SIX)
    push = held(its, TWO)
    assert push is not None
    release = Document(kind=RELEASED, name=push.id, body={}, stamp=STAMP)
    assert held(its, replace(TWO, documents={(RELEASED, push.id): release}), push) is None


def ruled(*names: str, view: View = SIX) -> Translation:
    rules = [rule(name=name, match=[{**HEADER, "name": f"x-{name}"}]) for name in names]
    return translate(view, parsed(*rules), EdgeSettings(), NOW, None)


def test_the_loss_of_most_routes_is_held_and_its_id_follows_from_what_is_left() -> None:
    its = guard()
    its.note_good(ruled("a", "b", "c", "d", "e"))
    push = its.held(SIX, ruled("a"), None)
    assert push is not None
    assert (push.routes_before, push.routes_after) == (6, 2), "the default is one"
    assert push.reason == "more than half of the routes are gone: 2 are left of 6"
    assert its.held(SIX, ruled("a", "b"), None) is None
    other = its.held(SIX, ruled("b"), None)
    assert other is not None
    assert other.id != push.id
    both = its.held(TWO, ruled("a", view=TWO), None)
    assert both is not None
    assert both.reason.count("more than half of the ") == 2
    release = Document(kind=RELEASED, name=both.id, body={}, stamp=STAMP)
    assert (
        its.held(replace(TWO, documents={(RELEASED, both.id): release}), ruled("a", view=TWO), both) is None
    )


def test_the_threshold_is_what_operators_set() -> None:
    its = guard(saved=SIX)
    five = view_of(11, *(cell(number) for number in range(1, 6)), before=SIX)
    assert held(its, five) is None

    def at(percent: float, view: View) -> View:
        body = WaveSettings(most_gone_percent=percent).body()
        document = Document(kind=SETTINGS, name="edge", body=body, stamp=STAMP)
        return replace(view, documents={**view.documents, (SETTINGS, "edge"): document})

    assert "more than 10 % of the clusters" in getattr(held(its, at(10, five)), "reason", "")
    assert held(its, at(80, TWO)) is None
    assert "all clusters are gone" in getattr(held(its, at(100, view_of(12, before=SIX))), "reason", "")
