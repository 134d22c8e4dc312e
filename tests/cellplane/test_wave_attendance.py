"""Who of a wave's nodes is away for too long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cellplane.wave_attendance import UNKNOWN, Attendance
from cellplane.wave_record import WaveState
from tests.cellplane.test_wave_steps import FLEET, READY, node

WAVE = replace(READY, id="w", state=WaveState.GOING, bound=1 << 32, nodes=2)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_was_there_and_is_away_for_too_long_is_lost() -> None:
    clock = Clock()
    book = Attendance(clock)
    assert book.lost(WAVE, FLEET[:2], 30) == ()
    clock.now = 130
    assert book.lost(WAVE, FLEET[:1], 30) == ()
    clock.now = 131
    assert book.lost(WAVE, FLEET[:1], 30) == (FLEET[1].id,)
    assert book.lost(WAVE, FLEET[:2], 30) == (), "it is back"
    assert book.lost(replace(WAVE, id="another"), FLEET[:1], 30) == ()


def test_a_new_leader_knows_how_many_there_were() -> None:
    clock = Clock()
    book = Attendance(clock)
    assert book.lost(WAVE, [node("one")], 30) == ()
    clock.now = 131
    assert book.lost(WAVE, [node("one")], 30) == (UNKNOWN,)
