"""What a stream is first told of a type, worked out once for all streams that ask for the same.

Streams ask for one when a client has nothing of a type yet, and put in what they found otherwise (`Snapshot
-> Response`). A fleet that connects at once asks for the same few sets. Nothing here decides what may be
sent: an opening is what the full look at each name came to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from xds.copies import Copy
from xds.resource import Reference, Resource, ResourceType

FEWEST_NAMES: Final = 16
"""Below that the full look costs no more."""
MOST_OF_A_TYPE: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """All that a client lacks of a type, to be sent as the snapshot has it."""

    resources: Mapping[str, Resource]
    """The snapshot's, of that type: the same object as long as nothing of the type changes."""
    behind: Mapping[str, Copy]
    upserts: tuple[Resource, ...]
    sent: Mapping[str, Resource | None]
    children: tuple[Reference, ...]


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
