"""What becomes of the pushes of this replica: which nodes have each, after how long, and who rejected it.

The publisher tells it of each push and the fleet of each answer, both at once and in a few microseconds; the
history takes from it in its own time (`Snapshot -> Response`, timed). It waits for nobody and writes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cellplane.ack_times import AckTimes
from cellplane.push_record import Acks
from topology.timings import Timings
from topology.view import View
from xds.cache import Takes
from xds.node_status import Nack, NodeStatus
from xds.resource import ResourceType
from xds.snapshot import Change, Snapshot
from xds.status import Fleet

MOST_TRACKED: Final = 8
MOST_UNWRITTEN: Final = 256
MOST_REJECTIONS: Final = 10
_MOST_WORDS: Final = 300
_MOST_BLAMED: Final = 5
CONVERGENCE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
"""Bounds of the histogram; 15 s is Envoy's own patience while it warms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A Snapshot that went out and changed something. `before` and `old` are None for a replica's first.

    `arrived_at` is when the first of its changes came from the store, by the tracker's clock; `at` in Unix
    seconds. What goes out in a wave is told again with each stage, and bears the wave's name and revision;
    `takes` says to whom it goes.
    """

    group: str
    before: View | None
    after: View
    old: Snapshot | None
    new: Snapshot
    change: Change
    arrived_at: float
    at: float
    wave: str = ""
    revision: int = 0
    takes: Takes = lambda _: True


@dataclass(slots=True)
class Tracked:
    """A push and who has it. `name` is empty until it is written down; `waiting` says since when for each."""

    pushed: Pushed
    name: str = ""
    waiting: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    times: AckTimes = field(default_factory=AckTimes)
    left: int = 0
    rejected: int = 0
    rejections: list[Mapping[str, Any]] = field(default_factory=list)
    is_news: bool = True

    def acks(self) -> Acks:
        return Acks(
            times=self.times,
            waiting=len(self.waiting),
            left=self.left,
            rejected=self.rejected,
            rejections=tuple(self.rejections),
        )


class PushTracker:
    """The newest pushes of this replica. It is the fleet's witness."""

    def __init__(self, fleet: Fleet, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.news = asyncio.Event()
        self.forgotten = 0
        """Pushes that could not be written down while there was time."""
        self.convergence: dict[str, Timings] = {}
        self.rejections: Counter[str] = Counter()
        self.unwritten: deque[Tracked] = deque()
        self.tracked: deque[Tracked] = deque(maxlen=MOST_TRACKED)
        self.done: Callable[[Tracked], None] = lambda _: None
        """Told of a push when nobody is waited for any more, and again after each stage of a wave."""
        self._fleet = fleet
        fleet.witness = self

    def published(self, pushed: Pushed) -> None:
        """Take note of a push, or of another stage of one, after the streams were offered it."""
        push = self._in_wave(pushed.wave)
        is_new = push is None
        if push is None:
            push = Tracked(pushed)
            self.tracked.append(push)
            self.unwritten.append(push)
        # Who comes with a later stage is not waited for since the change, but since it was offered it.
        since = pushed.arrived_at if is_new else self.clock()
        for node in self._fleet.nodes():
            name = node.node.id
            if node.group != pushed.group or name in push.told or not pushed.takes(node.node):
                continue
            push.told.add(name)
            if _has(node, push):
                self._reached(push, since)  # what changed is of no concern to it
            else:
                push.waiting[name] = since
        if len(self.unwritten) > MOST_UNWRITTEN:
            self.unwritten.popleft()
            self.forgotten += 1
        self._moved_on(push)

    def withdrawn(self, wave: str) -> None:
        """Wait no more for anybody: the nodes of a wave have gone back to what they had."""
        push = self._in_wave(wave)
        if push is not None:
            push.left += len(push.waiting)
            push.waiting.clear()
            self._is_news(push)

    def settled(self, node: NodeStatus, revision: int, /) -> None:
        """Count a node as reached by every push up to the revision that all its streams have."""
        del revision
        for push in self.tracked:
            if node.node.id in push.waiting and _has(node, push):
                self._reached(push, push.waiting.pop(node.node.id))
                self._moved_on(push)

    def rejected(self, node: NodeStatus, kind: ResourceType, nack: Nack, /) -> None:
        """Blame the push that the rejected version came with."""
        version = int(nack.version) if nack.version.isdecimal() else None
        for push in reversed(self.tracked):
            if push.pushed.group == node.group and (version is None or push.pushed.new.revision <= version):
                if kind not in push.pushed.change:
                    continue  # it came with one before
                push.rejected += 1
                self.rejections[node.group] += 1
                if len(push.rejections) < MOST_REJECTIONS:
                    told = {"node": node.node.id, "type": kind.name, "at": nack.at}
                    names = list(nack.names[:_MOST_BLAMED])
                    push.rejections.append({**told, "names": names, "message": nack.message[:_MOST_WORDS]})
                self._is_news(push)
                return

    def left(self, node: NodeStatus, /) -> None:
        """Wait no more for a node that is gone."""
        for push in self.tracked:
            if node.node.id in push.waiting:
                del push.waiting[node.node.id]
                push.left += 1
                self._moved_on(push)

    def _in_wave(self, wave: str) -> Tracked | None:
        return next((push for push in self.tracked if wave and push.pushed.wave == wave), None)

    def _reached(self, push: Tracked, since: float) -> None:
        seconds = max(0.0, self.clock() - since)
        push.times.add(seconds * 1000)
        times = self.convergence.get(push.pushed.group)
        if times is None:
            times = self.convergence[push.pushed.group] = Timings(CONVERGENCE_SECONDS)
        times.add(seconds)

    def _moved_on(self, push: Tracked) -> None:
        self._is_news(push)
        if not push.waiting:
            self.done(push)

    def _is_news(self, push: Tracked) -> None:
        push.is_news = True
        self.news.set()


def _has(node: NodeStatus, push: Tracked) -> bool:
    """Tell whether a node has all of a push; what goes in waves is known by its name."""
    if push.pushed.wave:
        return node.settled_tag == push.pushed.wave
    return node.settled_revision >= push.pushed.new.revision
