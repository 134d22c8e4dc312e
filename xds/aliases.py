"""What becomes of a resource at a client that asked for it by an alias, when the alias goes or moves.

Streams ask it while they collect what to say (`Snapshot -> Response`). A client holds a resource once, under
its own name, however many of its aliases it asked for. Nothing is changed here.
"""

from collections.abc import Iterable

from xds.copies import Copy
from xds.ledger import Ledger
from xds.resource import Resource
from xds.snapshot import Snapshot


def has_otherwise(ledger: Ledger, has: Copy, snapshot: Snapshot) -> bool:
    """Tell whether a client that loses an alias asked for what it stood for by another name too."""
    if not isinstance(has, Resource) or not has.alias_of:
        return False
    one = ledger.view(snapshot).get(has.alias_of)
    return one is not None and any(name in ledger.subscription for name in (one.name, *one.aliases))


def replaced(ledger: Ledger, given: Resource, has: Copy, snapshot: Snapshot) -> str:
    """Return the name of what an alias stood for at the client, where it stands for another resource now and
    nothing else keeps the old one; empty otherwise.
    """
    if not isinstance(has, Resource) or has.alias_of == given.alias_of:
        return ""
    return "" if has_otherwise(ledger, has, snapshot) else has.alias_of


def strays(ledger: Ledger, told: Iterable[str], snapshot: Snapshot) -> list[str]:
    """List what a client that comes back has, though no alias that it asks for stands for it any more."""
    if not ledger.type.has_aliases or ledger.subscription.wildcard:
        return []
    resources, names = snapshot.of_type(ledger.type), ledger.subscription.names
    asked = (resources.get(name) for name in names)
    wanted = {one.alias_of or one.name for one in asked if one is not None}
    return sorted(set(told) - wanted - names)
