"""What the fleet was told and what it made of it: per node and type what was sent, acknowledged and rejected.

Streams report here; status pages, metrics, the demo and benchmarks read it, and may wait for the next change
(`Snapshot -> Response`, on its way back). It decides nothing and holds only nodes that are connected.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any, Protocol

from xds.node_status import Nack, NodeStatus
from xds.nodes import Node
from xds.resource import ResourceType
from xds.wire import Response

log = logging.getLogger("xds.status")


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums since the start, by type, and open streams by group: what metrics show. All labels are bounded."""

    streams: Mapping[str, int]
    responses_sent: Mapping[str, int]
    resources_sent: Mapping[str, int]
    acks: Mapping[str, int]
    nacks: Mapping[str, int]
    turned_away: int = 0
    """Streams that were told to come back later, for too many began at once."""


class Witness(Protocol):
    """Whoever wants to be told of each event as it happens. It must return at once: streams wait for it."""

    def settled(self, node: NodeStatus, revision: int, /) -> None:
        """Take note that a stream of the node has all of a revision."""
        ...

    def rejected(self, node: NodeStatus, kind: ResourceType, nack: Nack, /) -> None:
        """Take note of a rejection."""
        ...

    def left(self, node: NodeStatus, /) -> None:
        """Take note that the node's last stream ended."""
        ...


class Fleet:
    """All connected nodes. `changes` rises with everything that is noted."""

    def __init__(self, wall_clock: Callable[[], float] = time) -> None:
        self.wall_clock = wall_clock
        self.witness: Witness | None = None
        self.changes = 0
        self._nodes: dict[str, NodeStatus] = {}
        self._streams: Counter[str] = Counter()
        self._responses: Counter[str] = Counter()
        self._resources: Counter[str] = Counter()
        self._acks: Counter[str] = Counter()
        self._nacks: Counter[str] = Counter()
        self._turned_away = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def nodes(self) -> tuple[NodeStatus, ...]:
        return tuple(self._nodes.values())

    def node(self, node_id: str) -> NodeStatus | None:
        return self._nodes.get(node_id)

    def counters(self) -> Counters:
        """Return the sums of this moment."""
        return Counters(
            streams={group: count for group, count in self._streams.items() if count},
            responses_sent=dict(self._responses),
            resources_sent=dict(self._resources),
            acks=dict(self._acks),
            nacks=dict(self._nacks),
            turned_away=self._turned_away,
        )

    def to_json(self) -> dict[str, Any]:
        return {"nodes": [node.to_json() for node in self._nodes.values()]}

    async def changed(self) -> None:
        """Wait until something is sent, acknowledged or rejected, or a node comes or goes."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            # Who gives up waiting must leave nothing behind.
            self._waiting.discard(waiting)

    def opened(self, node: Node, group: str, variant: str) -> "StreamStatus":
        """Note a new stream, and return what it reports to."""
        status = self._nodes.get(node.id)
        if status is None:
            status = self._nodes[node.id] = NodeStatus(node, group, self.wall_clock())
        stream = StreamStatus(self, status, variant)
        status.streams[stream] = None
        self._streams[group] += 1
        self._notify()
        return stream

    def closed(self, stream: "StreamStatus") -> None:
        """Note that a stream ended; with its last stream a node goes."""
        status = stream.node
        del status.streams[stream]
        self._streams[status.group] -= 1
        if not status.streams:
            del self._nodes[status.node.id]
            if self.witness is not None:
                self.witness.left(status)
        self._notify()

    def note_turned_away(self) -> None:
        self._turned_away += 1

    def note_sent(self, response: Response) -> None:
        self._responses[response.type.name] += 1
        self._resources[response.type.name] += len(response.resources)
        self._notify()

    def note_answer(self, kind: ResourceType, accepted: bool) -> None:
        (self._acks if accepted else self._nacks)[kind.name] += 1
        self._notify()

    def note_settled(self, node: NodeStatus, revision: int) -> None:
        if self.witness is not None:
            self.witness.settled(node, revision)
        self._notify()

    def _notify(self) -> None:
        self.changes += 1
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for future in waiting:
                if not future.done():
                    future.set_result(None)


class StreamStatus:
    """One stream's reports; what a `Stream` calls its observer."""

    __slots__ = ("_fleet", "node", "settled_at", "settled_revision", "settled_tag", "variant")

    def __init__(self, fleet: Fleet, node: NodeStatus, variant: str) -> None:
        self._fleet = fleet
        self.node = node
        self.variant = variant
        self.settled_revision = 0
        self.settled_tag = ""
        self.settled_at = 0.0

    def subscribed(self, kind: ResourceType, names: int, wildcard: bool) -> None:
        status = self.node.of_type(kind)
        status.subscribed = names
        status.wildcard = wildcard

    def sent(self, response: Response) -> None:
        status = self.node.of_type(response.type)
        status.sent_at = self._fleet.wall_clock()
        status.sent_version = response.version
        status.responses_sent += 1
        status.resources_sent += len(response.resources)
        status.removals_sent += len(response.removed)
        self._fleet.note_sent(response)

    def acknowledged(self, response: Response) -> None:
        status = self.node.of_type(response.type)
        status.acked_version = response.version
        status.acked_at = self._fleet.wall_clock()
        status.acks += 1
        self._fleet.note_answer(response.type, accepted=True)

    def rejected(self, response: Response, blamed: Sequence[str], message: str) -> None:
        status = self.node.of_type(response.type)
        status.nacks += 1
        nack = status.last_nack = Nack(self._fleet.wall_clock(), response.version, tuple(blamed), message)
        log.warning(
            "nack node=%s type=%s version=%s resources=%s message=%.1000s",
            self.node.node.id,
            response.type.name,
            response.version,
            ",".join(blamed[:20]),
            message,
        )
        if self._fleet.witness is not None:
            self._fleet.witness.rejected(self.node, response.type, nack)
        self._fleet.note_answer(response.type, accepted=False)

    def unknown_type(self, type_url: str) -> None:
        """Note that a type was asked for which nobody serves. It gets silence, and the other types their
        due.
        """
        log.info("type_unknown node=%s type_url=%.200s", self.node.node.id, type_url)

    def settled(self, revision: int, tag: str = "") -> None:
        """Note that all of a Snapshot is acknowledged. Of no interest if that was known."""
        if revision != self.settled_revision or tag != self.settled_tag:
            self.settled_revision = revision
            self.settled_tag = tag
            self.settled_at = self._fleet.wall_clock()
            self._fleet.note_settled(self.node, revision)
