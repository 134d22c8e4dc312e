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
    seconds.
    """

    group: str
    before: View | None
    after: View
    old: Snapshot | None
    new: Snapshot
    change: Change
    arrived_at: float
    at: float


@dataclass(slots=True)
class Tracked:
    """A push and who has it. `name` is empty until it is written down."""

    pushed: Pushed
    name: str = ""
    waiting: set[str] = field(default_factory=set)
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
        self._fleet = fleet
        fleet.witness = self

    def published(self, pushed: Pushed) -> None:
        """Take note of a push, after the streams were offered it."""
        push = Tracked(pushed)
        for node in self._fleet.nodes():
            if node.group != pushed.group:
                continue
            if node.settled_revision >= pushed.new.revision:
                self._reached(push)  # what changed is of no concern to it
            else:
                push.waiting.add(node.node.id)
        self.tracked.append(push)
        self.unwritten.append(push)
        if len(self.unwritten) > MOST_UNWRITTEN:
            self.unwritten.popleft()
            self.forgotten += 1
        self.news.set()

    def settled(self, node: NodeStatus, revision: int, /) -> None:
        """Count a node as reached by every push up to the revision that all its streams have."""
        del revision
        for push in self.tracked:
            if node.settled_revision >= push.pushed.new.revision and node.node.id in push.waiting:
                push.waiting.discard(node.node.id)
                self._reached(push)
                self._is_news(push)

    def rejected(self, node: NodeStatus, kind: ResourceType, nack: Nack, /) -> None:
        """Blame the push that the rejected version came with."""
        version = int(nack.version) if nack.version.isdecimal() else None
        for push in reversed(self.tracked):
            if push.pushed.group == node.group and (version is None or push.pushed.new.revision <= version):
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
                push.waiting.discard(node.node.id)
                push.left += 1
                self._is_news(push)

    def _reached(self, push: Tracked) -> None:
        seconds = max(0.0, self.clock() - push.pushed.arrived_at)
        push.times.add(seconds * 1000)
        times = self.convergence.get(push.pushed.group)
        if times is None:
            times = self.convergence[push.pushed.group] = Timings(CONVERGENCE_SECONDS)
        times.add(seconds)

    def _is_news(self, push: Tracked) -> None:
        push.is_news = True
        self.news.set()
