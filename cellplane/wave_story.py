"""The story of a push that goes out in waves: each step of it, written into the history with the push.

The leader adds steps and has them told; pages and commands read them with the push. A step is told as soon as
the push is in the history, by whoever was first to send it (`View -> Snapshot -> Response`, remembered).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from cellplane.push_history import PushHistory
from cellplane.wave_steps import Step

_MOST_EVENTS: Final = 30


class WaveStory:
    """What one leader has to tell."""

    def __init__(self, history: PushHistory) -> None:
        self._history = history
        self._untold: list[tuple[str, dict[str, Any]]] = []

    @property
    def is_untold(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._untold)

    def add(self, step: Step) -> None:
        """Note a step; one that belongs to no push is not told."""
        if step.push:
            self._untold = [*self._untold, (step.push, _about(step))][-_MOST_EVENTS:]

    async def tell(self) -> None:
        """Write what can be written. Raises StoreError."""
        for story in tuple(self._untold):
            push, about = story
            if await self._history.amend(push, partial(_amended, about=about)):
                self._untold.remove(story)


def _about(step: Step) -> dict[str, Any]:
    """Give what is told of a push after a step."""
    wave = step.wave
    return {
        "state": step.outcome.value,
        "percent": wave.percent,
        "nodes": wave.nodes,
        "of": wave.of,
        "reason": wave.reason,
        "event": {"at": round(time.time(), 3), "what": step.what},
    }


def _amended(body: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    events = [*body.get("wave", {}).get("events", ()), about["event"]][-_MOST_EVENTS:]
    told = {name: value for name, value in about.items() if name != "event"}
    return {**body, "wave": {**told, "events": events}}
