"""The streams of one node, side by side: children follow their parents from one to another.

All sessions of a node share one (`Snapshot -> Response`). A changed cluster waits for its endpoints anew, and
in Delta nobody asks for them: where they are on another stream, that has to be told. Mostly there is one
stream, and nothing to tell. It never looks into a stream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from xds.ledger import Ledger
from xds.resource import Reference, ResourceType
from xds.wire import Response


class Sibling(Protocol):
    """A stream, as the others of its node see it."""

    def follow(self, children: Sequence[Reference]) -> None:
        """Send those again that the client asked for on this stream."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Siblings:
    """The open streams of one node."""

    _open: dict[Sibling, None] = field(default_factory=dict)

    def join(self, sibling: Sibling) -> None:
        self._open[sibling] = None

    def leave(self, sibling: Sibling) -> None:
        self._open.pop(sibling, None)

    @property
    def count(self) -> int:
        return len(self._open)

    @property
    def has_others(self) -> bool:
        """Tell whether there is more than one."""
        return len(self._open) > 1

    def follow(self, parent: Sibling, children: Sequence[Reference]) -> None:
        """Tell all others that these start to wait anew, for their parents have been sent."""
        for sibling in tuple(self._open) if children else ():
            if sibling is not parent:
                sibling.follow(children)


def children_elsewhere(
    ledgers: dict[ResourceType, Ledger], responses: Iterable[Response]
) -> tuple[Reference, ...]:
    """List what waits anew for responses that were just taken, of types that are not on their stream."""
    flights = (ledgers[response.type].in_flight for response in responses)
    return tuple(
        key for flight in flights if flight is not None for key in flight.children if key[0] not in ledgers
    )
