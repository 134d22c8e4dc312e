"""What is looked at before a request counts: which type it is about, and whether it keeps the limits.

A stream asks it about each request, on the way in (`Snapshot -> Response`, from the other side). It answers
with values and changes nothing.
"""

from collections.abc import Iterable, Mapping

from xds.resource import ResourceType
from xds.subscription import Asked, Subscription
from xds.terms import Terms
from xds.wire import ProtocolError, Status

SHOWN_CHARACTERS = 40


def type_asked_for(
    type_url: str, only: ResourceType | None, served: Mapping[str, ResourceType]
) -> ResourceType | ProtocolError | None:
    """Find the type of a request; `only` is the one that its stream is of. None: nothing we know of."""
    if only is not None:
        if type_url in ("", only.type_url):
            return only
        return ProtocolError(
            Status.INVALID_ARGUMENT, f"{type_url!r} was asked for on a stream of {only.type_url!r}"
        )
    if not type_url:
        return ProtocolError(Status.INVALID_ARGUMENT, "a request on an aggregated stream needs a type_url")
    return served.get(type_url)


def too_long(names: Iterable[str], terms: Terms) -> list[str]:
    """List the names that are longer than any may be."""
    longest = terms.max_name_characters
    return [name for name in names if len(name) > longest]


def refused_name(kind: ResourceType, name: str, terms: Terms) -> ProtocolError:
    """Say that a name is too long, without repeating all of it."""
    return ProtocolError(
        Status.INVALID_ARGUMENT,
        f"the {kind.name} name {name[:SHOWN_CHARACTERS]!r}… has {len(name)} characters; "
        f"names of at most {terms.max_name_characters} are served",
    )


def over_limit(subscription: Subscription, asked: Asked, terms: Terms) -> ProtocolError | None:
    """Say whether a client asks for too many names, or for one that is too long. Costs what is new."""
    if len(subscription.names) > terms.max_names:
        return ProtocolError(
            Status.RESOURCE_EXHAUSTED, f"more than {terms.max_names} names of one type are too many"
        )
    long = too_long(asked.added, terms) or too_long(asked.again, terms)
    return refused_name(subscription.type, long[0], terms) if long else None
