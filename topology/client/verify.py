"""What differs between a cell's own rows and its claims on record: missing, different, extra.

A cell runs it now and then over ranges of rows, and mends what it says; the cell is right. It calls nobody.
Third road: which claims to begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from topology.claims.model import Bucket, Metadata
from topology.client.reconcile import check_aware

SETTLED_AFTER: Final = timedelta(hours=1)
"""What changed more recently on either side may still be on its way to the other."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A claim as one side has it, and when it changed there."""

    metadata: Metadata
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Drift:
    """What to create, what to destroy and create anew, and what to destroy.

    What is missing may belong to another cell: then the begin says so, and a person has to look.
    """

    missing: tuple[Metadata, ...]
    different: tuple[Metadata, ...]
    extra: tuple[Metadata, ...]

    def and_also(self, other: Drift) -> Drift:
        """Put what was found in another range of rows to it."""
        return Drift(self.missing + other.missing, self.different + other.different, self.extra + other.extra)


def drift(
    own: Mapping[Bucket, Stated],
    recorded: Mapping[Bucket, Stated],
    now: datetime,
    settled_after: timedelta = SETTLED_AFTER,
) -> Drift:
    """Compare one range of rows with its claims. Raises ValueError for a moment without a time zone."""
    check_aware({"now": now, **{str(bucket): side.changed_at for bucket, side in own.items()}})

    def settled(*sides: Stated) -> bool:
        return all(now - side.changed_at >= settled_after for side in sides)

    return Drift(
        missing=tuple(
            side.metadata for bucket, side in own.items() if bucket not in recorded and settled(side)
        ),
        different=tuple(
            side.metadata
            for bucket, side in own.items()
            if bucket in recorded
            and recorded[bucket].metadata != side.metadata
            and settled(side, recorded[bucket])
        ),
        extra=tuple(
            side.metadata for bucket, side in recorded.items() if bucket not in own and settled(side)
        ),
    )
