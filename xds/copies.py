"""What is known of the copy that a client has under a name: a resource, nothing, some version, or one of
several.

Ledgers keep one for each name where a client is behind (`Snapshot -> Response`). Pure values; they never
guess.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from xds.resource import Reference, Resource

MOST_OPTIONS: Final = 8


class Has(Enum):
    """What is known where it is no resource that we have at hand."""

    ABSENT = "absent"
    OTHER = "other"
    """Some version or other: it said so when it connected."""
    UNKNOWN = "unknown"
    """Anything or nothing: what it says is not to be believed."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """One of these: a response that the client rejected is applied in part."""

    options: tuple[Resource | Has, ...]


Copy = Resource | Has | Unsure

ABSENT: Final = Has.ABSENT
OTHER: Final = Has.OTHER
UNKNOWN: Final = Has.UNKNOWN


def either(one: Copy, other: Resource | Has) -> Copy:
    """Combine what the client had with what it may have taken over."""
    if one is UNKNOWN or one == other:
        return one
    options = one.options if isinstance(one, Unsure) else (one,)
    if other in options:
        return one
    return Unsure((*options, other)) if len(options) < MOST_OPTIONS else UNKNOWN


def is_unsure(has: Copy) -> bool:
    """Tell whether the client may have one thing or another."""
    return has is UNKNOWN or isinstance(has, Unsure)


def may_be_absent(has: Copy) -> bool:
    """Tell whether the client may have nothing under a name."""
    return has is UNKNOWN or has_none_but_rejected(has)


def has_none_but_rejected(has: Copy) -> bool:
    """Tell whether the client has nothing, or at most what it was just offered and rejected."""
    return has is ABSENT or (isinstance(has, Unsure) and ABSENT in has.options)


def may_name(has: Copy, key: Reference) -> bool:
    """Tell whether the client's copy may name the given resource."""
    if isinstance(has, Unsure):
        return any(may_name(one, key) for one in has.options)
    if isinstance(has, Resource):
        # Who declares no references at all may name anything.
        return not has.references or key in has.references
    return has is not ABSENT
