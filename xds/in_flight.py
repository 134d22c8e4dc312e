"""A response that left and was not answered yet, and what a rejection of it says.

A ledger keeps one for its type at most (`Snapshot -> Response`). It never changes; `nack` reads the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from xds.copies import ABSENT, Copy
from xds.nack import culprits
from xds.resource import Reference, Resource
from xds.wire import Response


@dataclass(frozen=True, slots=True)
class Refused:
    """What a rejection is about."""

    had: Mapping[str, Copy]
    """What the client had of all names that the response spoke of."""
    good: Mapping[str, Resource]
    """Those of it that are known, and are not what the response brought."""
    blamed: tuple[Resource, ...]
    """What the client's words name."""
    news: tuple[Resource, ...]
    """What may be to blame: what the client did not have before."""
    removes_only: bool


@dataclass(frozen=True, slots=True)
class InFlight:
    """A response that is neither acknowledged nor rejected yet."""

    response: Response
    sent: Mapping[str, Resource | None]
    """What the client has once it acknowledges, of all names that were open; None is "there is nothing"."""
    blocking: bool = False
    """Whether types that come after this one have to wait."""
    children: tuple[Reference, ...] = ()
    """What the changed ones among these resources start to wait for anew."""
    whole: Mapping[str, Resource] | None = None
    """Where all that was sent is as the snapshot had it: what the snapshot had."""

    @property
    def listed(self) -> list[Resource]:
        """Return the resources that this response brings, without those that are only listed again."""
        return [one for one in self.response.resources if one.name in self.sent]

    def refused(self, message: str, behind: Mapping[str, Copy]) -> Refused:
        """Read a rejection. A name that is not behind means that the client had this very version."""
        had = {name: behind.get(name, sent or ABSENT) for name, sent in self.sent.items()}
        listed = {one.name: one for one in self.listed}
        names = frozenset(culprits(message, listed))
        return Refused(
            had=had,
            good={
                name: has
                for name, has in had.items()
                if isinstance(has, Resource) and has != listed.get(name)
            },
            blamed=tuple(one for name, one in listed.items() if name in names),
            # A resource that came alone is to blame even if the client is believed to have had it.
            news=tuple(one for name, one in listed.items() if had[name] != one or len(listed) == 1),
            removes_only=not listed,
        )
