"""What Envoy is to forget, as the route table says it: the claims that were dropped or moved of late.

A slot of claims is named with the revision at which it was written last; the newest are enough, for a worker
that has listened since keeps the rest. `route_resource` puts it into the virtual host's metadata, and
`memory.lua` reads it. Its size is bounded, whatever the number of claims. `View -> Snapshot`.

    at      the newest revision of all
    since   whoever was told less than this can't know what it missed, and forgets everything
    moved   slot and revision of all that was written after `since`, the newest first
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from typing import Final

MOST: Final = 2048
"""So many slots are named: 20 seconds of 100 transfers a second, and 30 kB."""


def forgetting(generations: Mapping[int, int]) -> dict[str, str | int]:
    """Say which slots were written last; nothing where none ever was."""
    if not generations:
        return {}
    newest = nlargest(MOST + 1, ((at, slot) for slot, at in generations.items()))
    # One transaction writes several slots: a revision is told whole, or not at all.
    since = newest.pop()[0] if len(newest) > MOST else 0
    told = [each for each in newest if each[0] > since]
    return {
        "at": newest[0][0],
        "since": since,
        "moved": " ".join(f"{slot} {at}" for at, slot in told),
    }
