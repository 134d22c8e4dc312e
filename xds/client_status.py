"""How each resource stands at one client: sent, acknowledged, rejected, or not sent yet.

The status service asks it of each open stream (`Snapshot -> Response`, read from outside). It reads ledgers
and changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from xds.copies import ABSENT, Copy
from xds.ledger import Ledger
from xds.nodes import Node
from xds.resource import Resource, ResourceType
from xds.stream import Stream


class Standing(Enum):
    """The words of `ConfigStatus`; ABSENT is what was asked for and does not exist."""

    SYNCED = "synced"
    STALE = "stale"
    ERROR = "error"
    NOT_SENT = "not sent"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource at one client."""

    type: ResourceType
    name: str
    standing: Standing
    wanted: Resource | None
    """What the client shall have."""
    message: str = ""
    """The words of the rejection."""


@dataclass(frozen=True, slots=True)
class Served:
    """An open stream, and whose it is."""

    node: Node
    group: str
    variant: str
    stream: Stream


def statuses(stream: Stream) -> Iterator[ResourceStatus]:
    """Go through all that a client asked for or has."""
    for ledger in stream.ledgers.values():
        resources = ledger.view(stream.snapshot)
        names = dict.fromkeys(
            (*ledger.scope(stream.snapshot), *sorted(ledger.subscription.names), *ledger.behind)
        )
        for name in names:
            wanted = resources.get(name)
            standing, message = _standing(ledger, name, wanted)
            yield ResourceStatus(ledger.type, name, standing, wanted, message)


def _standing(ledger: Ledger, name: str, wanted: Resource | None) -> tuple[Standing, str]:
    has: Copy | None = ledger.behind.get(name)
    in_flight = ledger.in_flight is not None and name in ledger.in_flight.sent
    if wanted is None:
        if in_flight:
            return Standing.STALE, ""
        return (Standing.ABSENT if has is None or has is ABSENT else Standing.NOT_SENT), ""
    words = ledger.holds.rejected(wanted)
    if words is None:
        words = ledger.holds.group.why_held(wanted)
    if words is not None and has is not None:
        return Standing.ERROR, words
    if in_flight and has is not None:
        return Standing.STALE, ""
    return (Standing.SYNCED if has is None else Standing.NOT_SENT), ""
