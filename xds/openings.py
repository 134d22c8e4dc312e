"""What a stream is told of a type, worked out once for all streams that lack the same.

Streams ask for one before they look at each name, and put in what they found otherwise (`Snapshot ->
Response`). A fleet that connects at once asks for the same few sets, and a push leaves all of it behind by
the same names. Nothing here decides what may be sent: an opening is what the full look at each name came to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from xds.copies import Copy
from xds.in_flight import InFlight
from xds.resource import Reference, Resource, ResourceType

MOST_OF_A_TYPE: Final = 4


@dataclass(slots=True, eq=False)
class Opening:
    """All that a client lacks of a type, to be sent as the snapshot has it."""

    resources: Mapping[str, Resource]
    """The snapshot's, of that type: the same object as long as nothing of the type changes."""
    behind: Mapping[str, Copy]
    upserts: tuple[Resource, ...]
    sent: Mapping[str, Resource | None]
    children: tuple[Reference, ...]
    blocking: bool
    """Whether types that come after this one have to wait for its answer."""
    flight: InFlight | None = None
    """The Delta response that says exactly this, as the newest stream has it in flight."""


@dataclass(slots=True)
class Openings:
    """The newest ones, shared by all streams of a server."""

    _by_type: dict[ResourceType, list[Opening]] = field(default_factory=dict)

    def find(
        self, kind: ResourceType, resources: Mapping[str, Resource], behind: Mapping[str, Copy]
    ) -> Opening | None:
        """Return what was found for a client that lacks exactly this."""
        for opening in self._by_type.get(kind, ()):
            if opening.resources is resources and opening.behind == behind:
                return opening
        return None

    def keep(self, kind: ResourceType, opening: Opening) -> None:
        """Remember an opening; the oldest of the type makes room."""
        self._by_type[kind] = [opening, *self._by_type.get(kind, ())][:MOST_OF_A_TYPE]
