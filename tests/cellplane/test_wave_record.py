"""Waves as records: what is written is read again, and every replica takes in the same nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cellplane.pushes import EDGE
from cellplane.wave_record import (
    NOBODY,
    ORDER,
    SETTINGS,
    WAVE,
    Mode,
    Query,
    Stage,
    Wave,
    WaveSettings,
    WaveState,
    Word,
    bound_for,
    is_canary,
    order_of,
    place,
    settings_of,
    wave_of,
)
from tests.cellplane.views import STAMP
from topology.model import Document
from topology.view import EMPTY, View
from xds.nodes import Node

GOING = Wave(id="3fa9c2d1", group=EDGE, state=WaveState.GOING, good="a", next="3fa9c2d1", bound=1 << 31)
NAMES = [f"edge-{number}" for number in range(200)]


def written(kind: str, body: dict[str, object]) -> View:
    return replace(EMPTY, documents={(kind, EDGE): Document(kind=kind, name=EDGE, body=body, stamp=STAMP)})


def test_what_is_written_is_read_again() -> None:
    settings = WaveSettings(
        mode=Mode.ON, stages=(Stage(percent=5, bake_seconds=1),), prometheus="http://p",
        queries=(Query(name="e", expression="x", limit=2),),
    )  # fmt: skip
    assert settings_of(written(SETTINGS, settings.body()), EDGE) == settings
    assert wave_of(written(WAVE, GOING.body()), EDGE) == GOING
    order = written(ORDER, {"wave": GOING.id, "word": "halt"})
    assert order_of(order, GOING) is Word.HALT
    assert order_of(order, replace(GOING, id="another")) is None


@pytest.mark.parametrize("body", [{}, {"mode": "sideways"}, {"word": "hop", "wave": GOING.id}])
def test_what_cannot_be_read_is_as_if_it_were_not_there(body: dict[str, object]) -> None:
    assert settings_of(written(SETTINGS, body), EDGE) == WaveSettings()
    assert wave_of(written(WAVE, body), EDGE) is None
    assert order_of(written(ORDER, body), GOING) is None
    assert wave_of(EMPTY, EDGE) is None


def test_a_wave_takes_canaries_and_as_many_others_as_its_bound_says() -> None:
    for percent, nodes in ((0, 0), (0.1, 1), (1, 2), (10, 20), (50, 100), (100, 200)):
        wave = replace(GOING, bound=bound_for(GOING.id, NAMES, percent))
        assert sum(wave.takes(name, False) for name in NAMES) == nodes
        assert wave.takes("whoever", True)
    assert bound_for(GOING.id, [], 50) == NOBODY
    assert not replace(GOING, state=WaveState.HALTED).takes("whoever", True)


def test_each_wave_has_an_order_of_its_own_that_never_changes() -> None:
    assert place("3fa9c2d1", "edge-1") == 0x826F90A2
    assert sorted(NAMES, key=lambda name: place("a", name)) != sorted(
        NAMES, key=lambda name: place("b", name)
    )


def test_a_canary_says_so_in_its_metadata() -> None:
    assert is_canary(Node(id="n", metadata={"canary": True}))
    assert not is_canary(Node(id="n", metadata={"canary": "no"}))
    assert not is_canary(Node(id="n"))


def test_stages_for_people() -> None:
    assert [str(stage) for stage in WaveSettings().stages] == ["canaries", "1 %", "10 %", "50 %"]
