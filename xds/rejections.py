"""The versions that one node has rejected, each with its words, and what it had before.

A node's `Holds` keeps one (`Snapshot -> Response`, on its way back). Bounded: the oldest names and versions
are forgotten first. It decides nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from xds.hold_record import Version
from xds.resource import Reference, Resource

MAX_NAMES: Final = 10_000
MAX_VERSIONS: Final = 16


@dataclass(slots=True)
class _Rejected:
    """The rejected versions of one resource, oldest first."""

    good: Resource | None
    """What the node had before, and goes on with."""
    messages: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Rejections:
    """The rejections of one node, by resource."""

    _by_key: dict[Reference, _Rejected] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def add(self, resource: Resource, message: str, good: Resource | None) -> None:
        """Note a rejection; what was good before stays so where nothing newer is known."""
        one = self._by_key.pop(resource.key, None) or _Rejected(good)
        self._by_key[resource.key] = one
        if good is not None:
            one.good = good
        one.messages.pop(resource.version, None)
        one.messages[resource.version] = message
        if len(one.messages) > MAX_VERSIONS:
            del one.messages[next(iter(one.messages))]
        if len(self._by_key) > MAX_NAMES:
            del self._by_key[next(iter(self._by_key))]

    def message(self, resource: Resource) -> str | None:
        """Return the node's words if it rejected this very version."""
        one = self._by_key.get(resource.key)
        return None if one is None else one.messages.get(resource.version)

    def good(self, key: Reference) -> Resource | None:
        """Return what the node had before."""
        one = self._by_key.get(key)
        return None if one is None else one.good

    def names(self) -> Iterator[Reference]:
        """List everything of which some version was rejected."""
        return iter(self._by_key)

    def versions(self) -> Iterator[tuple[Reference, str, str]]:
        """List all versions, each with the node's words."""
        for key, one in self._by_key.items():
            for version, message in one.messages.items():
                yield key, version, message

    def drop(self, version: Version) -> None:
        """Forget the rejection of one version."""
        key, content = version
        one = self._by_key.get(key)
        if one is not None:
            one.messages.pop(content, None)
            if not one.messages:
                del self._by_key[key]

    def release(self, key: Reference) -> None:
        """Forget all rejections of one resource."""
        self._by_key.pop(key, None)
