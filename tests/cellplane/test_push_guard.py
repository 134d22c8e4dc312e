"""The guard remembers what was good, here or elsewhere, and holds what loses too much of it."""

from __future__ import annotations

from dataclasses import replace

from cellplane.push_guard import PushGuard
from cellplane.pushes import RELEASED, HeldPush
from tests.cellplane.pushing import NOW, made_of, view_of
from tests.cellplane.views import STAMP, cell
from topology.model import Document
from topology.view import View

SIX = view_of(10, *(cell(number) for number in range(1, 7)))
TWO = view_of(11, cell(1), cell(2), before=SIX)


def guard(saved: int | None = None) -> PushGuard:
    return PushGuard(lambda: saved, lambda: NOW)


def held(by: PushGuard, view: View, before: HeldPush | None = None) -> HeldPush | None:
    return by.held(view, made_of(view).snapshot, before)


def test_nothing_is_held_where_nothing_is_known() -> None:
    assert held(guard(), TWO) is None


def test_a_loss_against_what_went_out_here_is_held_once() -> None:
    its = guard()
    its.note_good(made_of(SIX).snapshot)
    push = held(its, TWO)
    assert push is not None
    assert (push.clusters_before, push.clusters_after, push.held_at) == (6, 2, "2026-11-22T10:00:05+00:00")
    assert held(its, TWO, push) is push
    assert its.holds == 1


def test_what_another_replica_recorded_and_what_was_saved_count_too() -> None:
    assert held(guard(saved=6), TWO) is not None
    recorded = view_of(12, cell(1), cell(2), before=SIX, **{"pushes-good__edge": {"clusters": 6}})
    assert held(guard(), recorded) is not None
    assert held(guard(saved=2), recorded) is not None, "the record is newer than the file"


def test_a_release_lets_it_go() -> None:
    its = guard(saved=6)
    push = held(its, TWO)
    assert push is not None
    release = Document(kind=RELEASED, name=push.id, body={}, stamp=STAMP)
    assert held(its, replace(TWO, documents={(RELEASED, push.id): release}), push) is None
