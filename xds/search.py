"""Halving: which resource of a rejected response is to blame, where the client's words name none?

A node's `Holds` starts one on a NACK without names, tests half of the suspects on that one node, and is told
what became of it (`Snapshot -> Response`, on its way back). One bad resource among n costs at most
log2 n rejections more, rounded up. Pure; it sends nothing and knows no clock but what it is told.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from xds.resource import Resource

SEARCH_SECONDS: Final = 60.0
"""Who answers no test for so long is searched no more: nobody waits for a client that says nothing.
A cluster may warm for 15 s before Envoy answers."""


@dataclass(slots=True)
class Search:
    """The suspects of one rejected response, of which one at least is bad."""

    suspects: tuple[Resource, ...]
    good: Mapping[str, Resource]
    """What the client had of them before, by name; it stands in for those that are not tested."""
    message: str
    """The client's words, which became the culprit's."""
    deadline: float | None = None
    testing: frozenset[Resource] = frozenset()
    basis: Mapping[str, Resource | None] = field(default_factory=dict)
    """What the client shall have under the suspects' names; the search is for nothing once that changes."""
    suspected: frozenset[Resource] = frozenset()
    pending: set[Resource] = field(default_factory=set)
    """What was not accepted yet, be it suspect or put aside."""

    def __post_init__(self) -> None:
        self.suspected = frozenset(self.suspects)
        self.pending.update(self.suspects)
        self._halve()

    @property
    def culprit(self) -> Resource | None:
        """The one that is left."""
        return self.suspects[0] if len(self.suspects) == 1 else None

    def withholds(self, resource: Resource) -> bool:
        """Tell whether a resource has to wait until its turn to be tested, or until the end."""
        return resource in self.pending and resource not in self.testing

    def stands(self, wants: Callable[[str], bool], resources: Mapping[str, Resource]) -> bool:
        """Tell whether the client still shall have what it is searched for, and wants it."""
        return all(wants(name) and resources.get(name) == wanted for name, wanted in self.basis.items())

    def concerns(self, resource: Resource | None) -> bool:
        """Tell whether this is or was a suspect, though it may have been accepted since."""
        return resource is not None and resource in self.suspected

    def rejected(self, tested: Iterable[Resource]) -> bool:
        """Narrow the search to what was rejected; False if nothing of this search was."""
        left = self.testing.intersection(tested)
        if left:
            self.suspects = tuple(one for one in self.suspects if one in left)
            self._halve()
        return bool(left)

    def accepted(self, tested: Iterable[Resource]) -> bool:
        """Narrow the search to what was not accepted; False if nothing of this search was."""
        cleared = self.testing.intersection(tested)
        if cleared:
            self.pending -= cleared
            self.suspects = tuple(one for one in self.suspects if one not in cleared)
            self._halve()
        return bool(cleared)

    def _halve(self) -> None:
        self.testing = frozenset(self.suspects[: len(self.suspects) // 2])
