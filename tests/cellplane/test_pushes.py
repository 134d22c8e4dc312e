"""The documents that make pushes safe: what is good, what is held, what was released."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cellplane.pushes import (
    EDGE,
    EVERYTHING,
    FROZEN,
    GOOD,
    HELD,
    RELEASED,
    HeldPush,
    frozen_of,
    good_counts,
    held_pushes,
    is_released,
    plan_freeze,
    plan_resume,
    push_id,
)
from topology.model import Document, Stamp
from topology.planning import Plan, Refusal
from topology.view import EMPTY, View

STAMP = Stamp(updated_by="ada", updated_at="2026-11-22T10:00:00+00:00", reason="")
PUSH = HeldPush(
    id="0123abcd",
    group=EDGE,
    revision=7,
    reason="too many",
    clusters_before=6,
    clusters_after=2,
    held_at="2026-11-22",
)


def view_with(kind: str, name: str, body: dict[str, Any]) -> View:
    return replace(EMPTY, documents={(kind, name): Document(kind=kind, name=name, body=body, stamp=STAMP)})


def test_a_push_is_named_by_its_group_and_clusters_alone() -> None:
    assert push_id(EDGE, ["cell-2", "cell-1"]) == push_id(EDGE, ["cell-1", "cell-2"])
    assert push_id(EDGE, ["cell-1"]) != push_id(EDGE, ["cell-1", "cell-2"])
    assert push_id(EDGE, ["cell-1"]) != push_id("other", ["cell-1"])
    assert len(push_id(EDGE, [])) == 8


def test_a_held_push_survives_the_store() -> None:
    assert held_pushes(view_with(HELD, EDGE, PUSH.body())) == (PUSH,)


@pytest.mark.parametrize("body", [{}, {**PUSH.body(), "revision": "soon"}, {**PUSH.body(), "revision": None}])
def test_a_document_that_is_not_ours_is_left_out(body: dict[str, Any]) -> None:
    assert held_pushes(view_with(HELD, EDGE, body)) == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"clusters": 4, "routes": 7}, (4, 7)),
        ({"clusters": 0}, (0, 0)),
        ({"clusters": -1}, None),
        ({"clusters": True}, None),
        ({}, None),
    ],
)
def test_the_last_good_counts(body: dict[str, Any], expected: tuple[int, int] | None) -> None:
    assert good_counts(view_with(GOOD, EDGE, body), EDGE) == expected
    assert good_counts(EMPTY, EDGE) is None


def test_a_release_names_one_push() -> None:
    view = view_with(RELEASED, PUSH.id, {})

    assert is_released(view, PUSH.id)
    assert not is_released(view, "other")


BECAUSE = replace(STAMP, reason="holidays")


def test_pushes_are_frozen_with_a_reason_and_resumed_by_anybody() -> None:
    made = plan_freeze(EMPTY, BECAUSE)
    assert isinstance(made, Plan)
    assert [key for key, _ in made.txn.puts] == ["/cellplane/v1/pushes-frozen/all"]
    found = view_with(FROZEN, EVERYTHING, {})
    document = replace(found.documents[FROZEN, EVERYTHING], stamp=BECAUSE)
    frozen = replace(
        found,
        documents={(FROZEN, EVERYTHING): document},
        mod_revisions={"/cellplane/v1/pushes-frozen/all": 7},
    )
    said = frozen_of(frozen)
    assert said is not None
    assert str(said) == "frozen by ada at 2026-11-22T10:00:00+00:00: holidays"
    ended = plan_resume(frozen, STAMP)
    assert isinstance(ended, Plan)
    assert ended.txn.deletes == ("/cellplane/v1/pushes-frozen/all",)
    assert frozen_of(EMPTY) is None


def test_what_is_so_already_and_what_nobody_gave_a_reason_for() -> None:
    frozen = view_with(FROZEN, EVERYTHING, {})
    for outcome, words in (
        (plan_freeze(EMPTY, STAMP), "reason: is empty"),
        (plan_freeze(frozen, BECAUSE), "pushes are frozen by ada"),
        (plan_resume(EMPTY, BECAUSE), "pushes are not frozen"),
    ):
        assert isinstance(outcome, Refusal)
        assert words in str(outcome.problems[0])
