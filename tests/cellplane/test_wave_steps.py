"""What comes next for a wave, by what is seen of the fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cellplane.delivery import Split
from cellplane.fleet_record import NodeRecord
from cellplane.publisher_state import Standing
from cellplane.pushes import EDGE
from cellplane.wave_record import Stage, Wave, WaveSettings, WaveState, Word
from cellplane.wave_steps import Look, Outcome, Step, concerned, members, next_step
from tests.cellplane.pushing import made_of, view_of
from tests.cellplane.views import cell
from topology.view import View

BASE, NEXT = view_of(10, cell(1)), view_of(12, cell(1), cell(3))
STAGES = (
    Stage(percent=0, bake_seconds=30),
    Stage(percent=10, bake_seconds=30),
    Stage(percent=50, bake_seconds=30),
)
SETTINGS = WaveSettings(stages=STAGES, patience_seconds=60, most_lost_percent=10)
READY = Wave(id="good", group=EDGE, state=WaveState.READY, good="good")


def node(
    name: str, tag: str = "", *, canary: bool = False, nack: str = "", connected_at: float = 0
) -> NodeRecord:
    words = {"at": 1.0, "version": nack, "names": ["edge"], "message": "no"}
    body: dict[str, Any] = {
        "id": name, "group": EDGE, "settled_tag": tag, "canary": canary, "connected_at": connected_at,
        "types": {"route": {"last_nack": words if nack else None}},
    }  # fmt: skip
    return NodeRecord(body=body, replica="a", target=12)


def look(wave: Wave, *nodes: NodeRecord, now: float = 1000.0, **more: Any) -> Look:
    waits, newest = more.pop("waits", True), more.pop("newest", NEXT)
    tried = NEXT if wave.next else None
    split = Split(wave=wave, base=BASE, everyone=BASE, tried=tried)
    standing = Standing(
        split=split, newest=newest, snapshot=made_of(newest).snapshot, waits=waits, waits_behind=False
    )
    known: dict[str, Any] = {"settings": SETTINGS, "order": None}
    return Look(now=now, standing=standing, nodes=nodes, **(known | more))


def begun(*nodes: NodeRecord) -> Wave:
    step = next_step(look(READY, *nodes, now=900.0))
    assert step is not None
    return step.wave


FLEET = tuple(node(f"edge-{number}") for number in range(20))
CANARY = node("canary", canary=True)


def went(step: Step | None) -> tuple[Outcome, int, int]:
    assert step is not None
    return step.outcome, step.wave.stage, step.wave.nodes


def test_nothing_begins_without_a_change_or_while_something_is_in_the_way() -> None:
    assert next_step(look(READY, *FLEET, waits=False)) is None
    assert next_step(look(READY, *FLEET, blocked="push 1 is held")) is None


def test_a_wave_begins_with_the_canaries_or_without_any_with_the_first_share() -> None:
    assert went(next_step(look(READY, CANARY, *FLEET))) == (Outcome.GOING, 0, 1)
    step = next_step(look(READY, *FLEET))
    assert went(step) == (Outcome.GOING, 1, 2)
    assert step is not None
    assert step.keeps_newest
    assert (step.wave.id, step.wave.next, step.wave.good) == (step.push, step.push, "good")
    assert step.wave.revision == 12


def sidecar(name: str) -> NodeRecord:
    made = node(name)
    return replace(made, body={**made.body, "group": "sidecar/1"})


SIDECARS = tuple(sidecar(f"pod-{number}") for number in range(40))


def test_each_stage_takes_its_share_of_edges_and_of_sidecars() -> None:
    step = next_step(look(READY, *FLEET, *SIDECARS))
    assert step is not None
    assert (step.wave.nodes, step.wave.of) == (2 + 4, 60)
    found = members(step.wave, (*FLEET, *SIDECARS))
    assert sum(each.group == EDGE for each in found) == 2
    one = next_step(look(READY, *FLEET[:1], *SIDECARS))
    assert one is not None
    assert one.wave.nodes == 1 + 4, "at least one of each"


def test_sidecars_count_where_it_is_about_rules_alone() -> None:
    def which(newest: View) -> int:
        return len(concerned(look(READY, newest=newest).standing, (*FLEET, *SIDECARS)))

    assert which(NEXT) == 20
    assert which(view_of(12, cell(1), before=BASE, rules__current={"rules": [1]})) == 60


def test_without_nodes_it_is_over_at_once() -> None:
    step = next_step(look(READY))
    assert step is not None
    assert (step.outcome, step.wave.state, step.wave.good) == (Outcome.DONE, WaveState.READY, step.push)


def having(wave: Wave, fleet: tuple[NodeRecord, ...] = FLEET) -> list[NodeRecord]:
    return [node(each.id, wave.id if wave.takes(each.id, each.is_canary) else "") for each in fleet]


def test_it_widens_when_all_have_it_and_the_time_is_over_and_not_before() -> None:
    wave = begun(*FLEET)
    assert next_step(look(wave, *having(wave), now=929.9)) is None, "it bakes"
    assert next_step(look(wave, *FLEET, now=931)) is None, "they have not acknowledged it"
    assert next_step(look(wave, *having(wave), now=931, unwatched="nobody answers")) is None
    wider = next_step(look(wave, *having(wave), now=931))
    assert went(wider) == (Outcome.GOING, 2, 10)
    assert wider is not None
    done = next_step(look(wider.wave, *having(wider.wave), now=962))
    assert done is not None
    assert (done.outcome, done.wave.state, done.wave.good) == (Outcome.DONE, WaveState.READY, wave.id)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"alarm": "errors: 6"}, "errors: 6"),
        ({"order": Word.HALT}, "by an operator's word"),
        ({"lost": ("edge-1",)}, "1 lost their stream and did not come back (edge-1)"),
    ],
)
def test_it_halts_at_the_first_sign_of_harm(more: dict[str, Any], reason: str) -> None:
    wave = begun(*FLEET)
    step = next_step(look(wave, *having(wave), **more))
    assert step is not None
    assert (step.outcome, step.wave.state, step.wave.reason) == (Outcome.HALTED, WaveState.HALTED, reason)
    assert (step.wave.good, step.wave.next) == ("good", wave.id), "what was tried stays known"


def test_a_rejection_halts_it_if_it_is_of_the_wave() -> None:
    wave = begun(CANARY, *FLEET)
    for version, halts in (("12", True), ("11", False)):
        step = next_step(look(wave, node("canary", wave.id, canary=True, nack=version), *FLEET, now=901))
        assert (step is not None) is halts
    outsider = node("edge-1", nack="12")
    assert next_step(look(wave, node("canary", canary=True), outsider, now=901)) is None


def test_who_does_not_answer_in_time_halts_it_unless_they_are_few() -> None:
    wave = replace(begun(*FLEET), bound=1 << 32, stage_at=900.0)
    for silent, halts in ((2, False), (3, True)):
        fleet = [node(f"edge-{n}", "" if n < silent else wave.id) for n in range(20)]
        assert next_step(look(wave, *fleet, now=959)) is None
        step = next_step(look(wave, *fleet, now=961))
        assert step is not None
        assert (step.outcome is Outcome.HALTED) is halts
    newcomers = [node(f"edge-{n}", connected_at=950) for n in range(20)]
    assert next_step(look(wave, *newcomers, now=961)) is None, "who has only come has its own time"


def test_what_is_taken_back_or_written_again_ends_it() -> None:
    wave = begun(*FLEET)
    for more in ({"waits": False}, {"newest": view_of(14, cell(1), cell(3, weight=5))}):
        step = next_step(look(wave, *having(wave), **more))
        assert step is not None
        assert (step.outcome, step.wave.state, step.wave.good) == (Outcome.WITHDRAWN, WaveState.READY, "good")


def test_after_a_halt_it_waits_until_it_is_mended_or_tried_again() -> None:
    halted = replace(begun(*FLEET), state=WaveState.HALTED, reason="no")
    assert next_step(look(halted, *FLEET)) is None
    assert next_step(look(halted, *FLEET, newest=view_of(14, cell(1), cell(3), cell(4)))) is None
    mended = next_step(look(halted, *FLEET, newest=view_of(14, cell(1))))
    assert mended is not None
    assert mended.wave.state is WaveState.READY
    again = next_step(look(halted, *FLEET, order=Word.RETRY))
    assert went(again) == (Outcome.GOING, 1, 2)
    assert next_step(look(halted, *FLEET, order=Word.RETRY, blocked="held")) is None
