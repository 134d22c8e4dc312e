"""Reading a rejection: which of the resources in a response does the client's message blame, and is it
their content at all?

Streams ask it on a NACK (`Snapshot -> Response`, on its way back). Envoy reports a code that is always
INTERNAL and a text that mostly names the resource. It never guesses: where no name is found it says so.
"""

import re
from collections.abc import Iterable

# "Error adding/updating cluster(s) a: why, b: why"; listeners are joined by newlines.
_LISTED = re.compile(r"Error adding/updating [a-z]+\(s\) ")
_BEFORE_LISTED = ("(s) ", ", ", "\n")
# "Unexpected EDS cluster (expecting a): b" blames b.
_EXPECTED = re.compile(r"\(expecting [^)]*\)")
# What the machine lacks at this moment, whatever the bytes say: a port, a right, a descriptor.
_ENVIRONMENT = re.compile(
    r"cannot bind|address already in use|cannot assign requested address|too many open files", re.IGNORECASE
)


def culprits(message: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names that the message blames, or none if it names none of them."""
    mentioned = [name for name in names if name in message]
    if _LISTED.search(message):
        listed = tuple(n for n in mentioned if any(f"{before}{n}: " in message for before in _BEFORE_LISTED))
        if listed:
            return listed
    text = _EXPECTED.sub("", message)
    return tuple(name for name in mentioned if re.search(_whole(name), text))


def blames_environment(message: str) -> bool:
    """Tell whether the same bytes may be accepted later, or by another node: a port was taken."""
    return _ENVIRONMENT.search(message) is not None


def _whole(name: str) -> str:
    """Match the name, but not as a part of a longer one (`cell-1` in `cell-10`)."""
    return rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)"
