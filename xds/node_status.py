"""One node's status: per type what was sent to it, what it acknowledged and rejected, and what it has in
full.

The fleet keeps one for each connected node, streams write it, and pages and metrics show it (`Snapshot ->
Response`, on its way back). Values and their JSON form; it waits for nobody.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from xds.nodes import Node
from xds.resource import ResourceType


class StreamReport(Protocol):
    """What a node's status tells of each of its streams."""

    variant: str
    settled_revision: int
    settled_tag: str
    settled_at: float


@dataclass(frozen=True, slots=True)
class Nack:
    """A rejection, in the client's words."""

    at: float
    version: str
    names: tuple[str, ...]
    message: str


@dataclass(slots=True)
class TypeStatus:
    """One type at one node. Versions are those of the response; in Delta that is the topology's revision."""

    subscribed: int = 0
    """How many names were asked for; with `wildcard`, all there are besides."""
    wildcard: bool = False
    sent_version: str = ""
    acked_version: str = ""
    sent_at: float = 0.0
    """When the last response left, in Unix seconds. The next one waits for its answer."""
    acked_at: float = 0.0
    responses_sent: int = 0
    resources_sent: int = 0
    removals_sent: int = 0
    acks: int = 0
    nacks: int = 0
    last_nack: Nack | None = None

    def to_json(self) -> dict[str, Any]:
        nack = self.last_nack
        return {
            "subscribed": self.subscribed,
            "wildcard": self.wildcard,
            "sent_version": self.sent_version,
            "acked_version": self.acked_version,
            "sent_at": self.sent_at,
            "acked_at": self.acked_at,
            "responses_sent": self.responses_sent,
            "resources_sent": self.resources_sent,
            "removals_sent": self.removals_sent,
            "acks": self.acks,
            "nacks": self.nacks,
            "last_nack": nack
            and {
                "at": nack.at,
                "version": nack.version,
                "names": list(nack.names),
                "message": nack.message,
            },
        }


@dataclass(slots=True)
class NodeStatus:
    """One node, whatever the number of its streams (two while an Envoy restarts hot)."""

    node: Node
    group: str
    connected_at: float
    types: dict[ResourceType, TypeStatus] = field(default_factory=dict)
    streams: dict[StreamReport, None] = field(default_factory=dict)

    @property
    def settled_revision(self) -> int:
        """The newest revision of which the node has acknowledged all that it asked for; 0 if none yet."""
        return min((stream.settled_revision for stream in self.streams), default=0)

    @property
    def settled_tag(self) -> str:
        """What the maker of that Snapshot calls it; empty while the node's streams have several."""
        tags = {stream.settled_tag for stream in self.streams}
        return tags.pop() if len(tags) == 1 else ""

    @property
    def settled_at(self) -> float:
        """When that was, in Unix seconds."""
        return max((stream.settled_at for stream in self.streams), default=0.0)

    def of_type(self, kind: ResourceType) -> TypeStatus:
        status = self.types.get(kind)
        if status is None:
            status = self.types[kind] = TypeStatus()
        return status

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.node.id,
            "cluster": self.node.cluster,
            "group": self.group,
            "region": self.node.region,
            "zone": self.node.zone,
            "version": self.node.user_agent_version,
            "connected_at": self.connected_at,
            "settled_revision": self.settled_revision,
            "settled_tag": self.settled_tag,
            "settled_at": self.settled_at,
            "streams": [stream.variant for stream in self.streams],
            "types": {kind.name: status.to_json() for kind, status in self.types.items()},
        }
