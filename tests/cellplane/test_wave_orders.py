"""What people may write about waves, and what is refused with its field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cellplane.pushes import EDGE
from cellplane.wave_orders import plan_order, plan_settings, settings_problems
from cellplane.wave_record import SETTINGS, WAVE, Mode, Query, Stage, Wave, WaveSettings, WaveState
from tests.cellplane.views import STAMP
from topology.model import Document
from topology.planning import Plan, Refusal
from topology.view import EMPTY, View

GOING = Wave(id="3fa9c2d1", group=EDGE, state=WaveState.GOING, good="a", next="3fa9c2d1")


def view_with(wave: Wave) -> View:
    document = Document(kind=WAVE, name=EDGE, body=wave.body(), stamp=STAMP)
    key = EMPTY.keyspace.document(WAVE, EDGE)
    return replace(EMPTY, documents={(WAVE, EDGE): document}, mod_revisions={key: 7})


def fields(outcome: object) -> list[str]:
    assert isinstance(outcome, Refusal)
    return [problem.field for problem in outcome.problems]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"min_nodes": 0}, "min_nodes"),
        ({"stages": ()}, "stages"),
        (
            {"stages": (Stage(percent=10, bake_seconds=1), Stage(percent=5, bake_seconds=1))},
            "stages[1].percent",
        ),
        ({"stages": (Stage(percent=100, bake_seconds=1),)}, "stages[0].percent"),
        ({"stages": (Stage(percent=1, bake_seconds=-1),)}, "stages[0].bake_seconds"),
        ({"patience_seconds": 0.0}, "patience_seconds"),
        ({"lost_seconds": float("nan")}, "lost_seconds"),
        ({"most_lost_percent": 101.0}, "most_lost_percent"),
        ({"most_gone_percent": -1.0}, "most_gone_percent"),
        ({"prometheus": "prometheus:9090"}, "prometheus"),
        ({"queries": (Query(name="a", expression="x", limit=1),)}, "prometheus"),
        (
            {"prometheus": "http://p", "queries": (Query(name="", expression="x", limit=1),)},
            "queries[0].name",
        ),
        (
            {"prometheus": "http://p", "queries": (Query(name="a", expression=" ", limit=1),)},
            "queries[0].expression",
        ),
        (
            {"prometheus": "http://p", "queries": (Query(name="a", expression="x", limit=float("inf")),)},
            "queries[0].limit",
        ),
    ],
)
def test_a_mistake_in_settings_is_named(changes: dict[str, Any], field: str) -> None:
    settings = replace(WaveSettings(), **changes)
    assert [problem.field for problem in settings_problems(settings)] == [field]
    assert fields(plan_settings(EMPTY, EDGE, settings.body(), STAMP)) == [field]


def test_settings_are_written_and_taken_back() -> None:
    assert not list(settings_problems(WaveSettings()))
    plan = plan_settings(EMPTY, EDGE, WaveSettings().body(), STAMP)
    assert isinstance(plan, Plan)
    assert [key for key, _ in plan.txn.puts] == [EMPTY.keyspace.document(SETTINGS, EDGE)]
    assert fields(plan_settings(EMPTY, "sidecar", WaveSettings().body(), STAMP)) == ["name"]
    assert fields(plan_settings(EMPTY, EDGE, {"mode": "on"}, STAMP)) == ["body"]
    assert fields(plan_settings(EMPTY, EDGE, None, STAMP)) == ["name"], "nothing is set"


def test_with_waves_off_what_waits_goes_out_in_the_same_transaction() -> None:
    plan = plan_settings(view_with(GOING), EDGE, WaveSettings(mode=Mode.OFF).body(), STAMP)
    assert isinstance(plan, Plan)
    assert plan.txn.deletes == (EMPTY.keyspace.document(WAVE, EDGE),)


@pytest.mark.parametrize(
    ("state", "word", "refused"),
    [
        (WaveState.GOING, "halt", ""), (WaveState.GOING, "all", ""), (WaveState.GOING, "retry", "word"),
        (WaveState.HALTED, "retry", ""), (WaveState.HALTED, "all", ""), (WaveState.HALTED, "halt", "word"),
        (WaveState.READY, "all", ""), (WaveState.READY, "hop", "word"),
    ],
)  # fmt: skip
def test_a_word_must_fit_the_wave(state: WaveState, word: str, refused: str) -> None:
    outcome = plan_order(
        view_with(replace(GOING, state=state)), EDGE, {"wave": GOING.id, "word": word}, STAMP
    )
    if refused:
        assert fields(outcome) == [refused]
    else:
        assert isinstance(outcome, Plan)
        assert outcome.summary[0].startswith(f"wave {GOING.id}: {word}: ")


def test_a_word_is_about_the_wave_that_is_there() -> None:
    body = {"wave": "another", "word": "halt"}
    assert fields(plan_order(view_with(GOING), EDGE, body, STAMP)) == ["wave"]
    assert fields(plan_order(view_with(GOING), EDGE, None, STAMP)) == ["body"]
    assert fields(plan_order(EMPTY, EDGE, body, STAMP)) == ["name"]
    assert fields(plan_order(EMPTY, "sidecar", body, STAMP)) == ["name"]
