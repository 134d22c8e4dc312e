"""What a client has asked for, of one type on one stream: names, everything, or both.

Streams hand in what a request lists and learn what that changed (`Snapshot -> Response`). The rules differ
between the variants, and are the same table in the end. It never knows which names exist.
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from xds.resource import ResourceType

WILDCARD: Final = "*"


class Wildcard(Enum):
    """What a request did to the wildcard."""

    UNTOUCHED = "untouched"
    ADDED = "added"
    AGAIN = "again"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request changed."""

    added: frozenset[str] = frozenset()
    """Names that were out of scope before."""
    again: frozenset[str] = frozenset()
    """Names that were in scope, and need an answer all the same."""
    dropped: frozenset[str] = frozenset()
    """Names that are out of scope now."""
    wildcard: Wildcard = Wildcard.UNTOUCHED


NOTHING: Final = Asked()


@dataclass(slots=True)
class Subscription:
    """The names and the wildcard of one type. Empty until the first request."""

    type: ResourceType
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    _opened: bool = False
    _named: bool = False
    _listed: Iterable[str] | None = None

    def __contains__(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def among(self, names: Sequence[str]) -> Iterable[str]:
        """Return those of the names that are subscribed to, looking at the shorter list only."""
        if self.wildcard:
            return names
        if len(names) <= len(self.names):
            return [name for name in names if name in self.names]
        return self.names.intersection(names)

    def add_and_drop(self, subscribe: Iterable[str], unsubscribe: Iterable[str]) -> Asked:
        """Apply a Delta request. Names asked for again are to be answered: the client may have dropped
        them.
        """
        wanted, unwanted = _names(subscribe), _names(unsubscribe)
        first, self._opened = not self._opened, True
        # Legacy wildcard: a first request that names nothing, of a type for which that means everything. It
        # stays until `*` is unsubscribed, whatever is named later.
        everything = WILDCARD in wanted or (first and not wanted and self.type.legacy_wildcard)
        was, self.wildcard = self.wildcard, everything or (self.wildcard and WILDCARD not in unwanted)
        wildcard = Wildcard.AGAIN if was and everything else _turned(was, self.wildcard)
        wanted.discard(WILDCARD)
        dropped = (unwanted - wanted) & self.names
        again = wanted if was else wanted & self.names
        added = wanted - again
        self.names |= wanted
        self.names -= dropped
        if self.wildcard:
            # A name dropped under the wildcard is still in scope: the client needs to hear how it stands.
            return Asked(frozenset(added), frozenset(again | dropped), frozenset(), wildcard)
        return Asked(frozenset(added), frozenset(again), frozenset(dropped), wildcard)

    def replace(self, names: Iterable[str]) -> Asked:
        """Apply a SotW request, which lists all that the client wants. The list of the last one, the same
        object, costs nothing.
        """
        if names is self._listed:
            return NOTHING
        self._listed = names
        wanted = _names(names)
        self._named = self._named or bool(wanted)
        # Legacy wildcard: no name was ever sent on this stream. After one was, an empty list means nothing.
        everything = WILDCARD in wanted or (not self._named and self.type.legacy_wildcard)
        wanted.discard(WILDCARD)
        was, self.wildcard = self.wildcard, everything
        if was == everything and wanted == self.names:
            return NOTHING
        new, dropped = wanted - self.names, self.names - wanted
        self.names = wanted
        # What is newly named is sent, also if the wildcard had brought it.
        return Asked(
            added=frozenset() if was else frozenset(new),
            again=frozenset(new) if was else frozenset(),
            dropped=frozenset() if everything else frozenset(dropped),
            wildcard=_turned(was, everything),
        )


def _turned(was: bool, now: bool) -> Wildcard:
    if was == now:
        return Wildcard.UNTOUCHED
    return Wildcard.ADDED if now else Wildcard.DROPPED


def _names(names: Iterable[str]) -> set[str]:
    """Collect names; an empty string is no name (some clients send `[""]` for "none")."""
    wanted = set(names)
    wanted.discard("")
    return wanted
