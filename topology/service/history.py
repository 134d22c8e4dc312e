"""The last changes of one store, as watchers are told them: spelled once for all, kept for who joins late.

What follows the store adds to it, each kind of watch reads from it. A watcher has no queue: it has a place
here, and one that falls behind all that is kept is cut off. `etcd Event -> View -> Snapshot -> Response`, as
far as watchers of this service go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import grpc

from topology.errors import StoreError, StoreUnavailable
from topology.service.failure import Failure
from topology.service.open_watches import OpenWatches

MAX_STEPS: Final = 4096
MAX_WEIGHT: Final = 50_000  # changes of single records
Spell = Callable[[], Sequence[bytes]]


@dataclass(slots=True)
class Step:
    """What changed at one revision."""

    at: int
    weight: int
    _spell: Spell
    _spelled: Sequence[bytes] | None = None

    @property
    def messages(self) -> Sequence[bytes]:
        """Give what watchers are told, spelled when the first asks."""
        if self._spelled is None:
            self._spelled = self._spell()
        return self._spelled


class History:
    """Changes after a floor up to a revision, in order, none left out. `bookmark` spells that nothing else
    happened up to a revision.
    """

    def __init__(self, bookmark: Callable[[int], bytes]) -> None:
        self.at = 0
        self._floor = 0
        self._steps: deque[Step] = deque()
        self._dropped = 0  # steps, since ever
        self._weight = 0
        self._spell_bookmark = bookmark
        self._bookmark = 0, b""
        self._broken: StoreError | None = StoreUnavailable("the store is not followed yet")
        self._breaks = 0
        self._moved = asyncio.Event()

    def listed(self, at: int) -> None:
        """Begin anew: nothing is known of what was before. Who watches has been cut off by what led to it."""
        self._dropped, self._weight = self._dropped + len(self._steps), 0
        self._steps.clear()
        self.at = self._floor = at
        self._broken = None

    def add(self, at: int, weight: int, spell: Spell) -> None:
        """Take note of what changed at a revision."""
        self._steps.append(Step(at, weight, spell))
        self._weight += weight
        while len(self._steps) > MAX_STEPS or (self._weight > MAX_WEIGHT and len(self._steps) > 1):
            oldest = self._steps.popleft()
            self._weight -= oldest.weight
            self._dropped += 1
            self._floor = oldest.at
        self.reached(at)

    def reached(self, at: int) -> None:
        """Take note that nothing else happened up to a revision, and that the store is followed."""
        self._broken = None
        self.at = at
        self._moved.set()
        self._moved = asyncio.Event()

    def broke(self, error: StoreError) -> None:
        """Cut off who watches: the store may go on unseen. What is kept stays, for who comes back."""
        self._broken = error
        self._breaks += 1
        self._moved.set()
        self._moved = asyncio.Event()

    def covers(self, after: int) -> bool:
        """Tell whether a watch may begin right after a revision."""
        return self._broken is None and self._floor <= after <= self.at and self.at > 0

    async def follow(self, after: int, watches: OpenWatches) -> AsyncIterator[bytes]:
        """Give all that happens after a revision that is covered, a bookmark at it first.

        Raises Failure where the watcher falls behind all that is kept or the server goes away, and what broke
        the following of the store; and where it is covered no more, for a first listing may have taken long.
        """
        if not self.covers(after):
            raise self._broken or _too_slow(after)
        breaks, last = self._breaks, after
        missed = sum(1 for _ in takewhile(lambda step: step.at > after, reversed(self._steps)))
        place = self._dropped + len(self._steps) - missed
        yield self._told(after)
        while True:
            while self._breaks == breaks and place < self._dropped + len(self._steps):
                if place < self._dropped:
                    raise _too_slow(last)
                step = self._steps[place - self._dropped]
                place += 1
                for message in step.messages:
                    yield message
                last = step.at
            if self._breaks != breaks:
                raise self._broken or StoreUnavailable("the store was away for a moment: watch again")
            if last < self.at:
                last = self.at
                yield self._told(last)
            else:
                await watches.waiting(self._moved.wait())

    def _told(self, at: int) -> bytes:
        if self._bookmark[0] != at:
            self._bookmark = at, self._spell_bookmark(at)
        return self._bookmark[1]


def _too_slow(last: int) -> Failure:
    words = f"this watch is more than {MAX_STEPS} changes behind: watch again after {last}"
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, words, "TOO_SLOW")
