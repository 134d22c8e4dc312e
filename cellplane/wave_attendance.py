"""Who of a wave's nodes is there, and who was and is away for too long.

The leader tells it with each look. What a leader before it saw it knows by number only, from the wave itself
(`View -> Snapshot`, a few nodes at a time).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from cellplane.fleet_record import NodeRecord
from cellplane.wave_record import Wave
from cellplane.wave_steps import members

UNKNOWN: Final = "a node that an earlier leader saw"


class Attendance:
    """The nodes of one wave after another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wave = ""
        self._since = 0.0
        self._seen: dict[str, float] = {}

    def lost(self, wave: Wave, nodes: Sequence[NodeRecord], lost_seconds: float) -> tuple[str, ...]:
        """Take note of who is there, and name those that are away for longer than so."""
        now = self._clock()
        if self._wave != wave.id:
            self._wave, self._since, self._seen = wave.id, now, {}
        self._seen |= {node.id: now for node in members(wave, nodes)}
        away = tuple(name for name, at in self._seen.items() if now - at > lost_seconds)
        unknown = wave.nodes - len(self._seen) if now - self._since > lost_seconds else 0
        return away + (UNKNOWN,) * max(0, unknown)
