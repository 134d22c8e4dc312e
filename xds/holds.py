"""What a node has rejected: versions never to be sent to it again, and the last good ones that stand in for
them.

Streams put in what a NACK taught them and ask what may be sent (`Snapshot -> Response`). One `Holds`
belongs to one node and outlives its streams. It never decides who the culprit is; that is `nack`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from xds.resource import Reference, Resource, ResourceType

MAX_NAMES: Final = 10_000
MAX_VERSIONS: Final = 16


class Withheld(Enum):
    """There is a resource, but no version of it that may be sent."""

    WITHHELD = "withheld"


WITHHELD: Final = Withheld.WITHHELD

Effective = Resource | None | Literal[Withheld.WITHHELD]
"""What a node shall have under a name: a resource, nothing (it does not exist), or nothing that may be
sent."""


@dataclass(slots=True)
class Hold:
    """The rejected versions of one resource, each with the client's words, oldest first."""

    good: Resource | None
    """What the node had before, and goes on with."""
    messages: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Holds:
    """The rejections of one node. Bounded: the oldest names and versions are forgotten first."""

    _holds: dict[Reference, Hold] = field(default_factory=dict)
    distrusted: dict[ResourceType, set[str]] = field(default_factory=dict)
    """Types whose versions, as the client tells them, are false, with the names that it may have untold:
    after a NACK, until all was restored."""

    lost: dict[ResourceType, set[str]] = field(default_factory=dict)
    """Names that the last stream ended without an answer to: the client may or may not have them."""

    def reject(self, resource: Resource, message: str, good: Resource | None) -> None:
        """Never send this version again; let `good` stand in for it."""
        hold = self._holds.pop(resource.key, None) or Hold(good)
        self._holds[resource.key] = hold
        if good is not None:
            hold.good = good
        hold.messages.pop(resource.version, None)
        hold.messages[resource.version] = message
        if len(hold.messages) > MAX_VERSIONS:
            del hold.messages[next(iter(hold.messages))]
        if len(self._holds) > MAX_NAMES:
            del self._holds[next(iter(self._holds))]

    def distrust(self, kind: ResourceType, names: Iterable[str]) -> None:
        """Believe nothing that the client says of its versions of this type, which it may have these names
        of.
        """
        self.distrusted.setdefault(kind, set()).update(names)

    def effective(self, resource: Resource | None) -> Effective:
        """Return what to give in place of a resource: itself unless it was rejected."""
        if not self._holds or resource is None:
            return resource
        hold = self._holds.get(resource.key)
        if hold is None or resource.version not in hold.messages:
            return resource
        if hold.good is None or hold.good.version in hold.messages:
            return WITHHELD
        return hold.good

    def rejected(self, resource: Resource) -> str | None:
        """Return the client's words if it rejected this very version."""
        hold = self._holds.get(resource.key)
        return None if hold is None else hold.messages.get(resource.version)

    def names(self) -> Iterator[Reference]:
        """List everything of which some version was rejected."""
        return iter(self._holds)

    def release(self, key: Reference) -> None:
        """Forget the rejections of one resource, so that it is tried again."""
        self._holds.pop(key, None)
