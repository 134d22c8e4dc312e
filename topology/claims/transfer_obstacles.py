"""What stands in the way of a transfer, in words for whoever wished it.

`transfer` finds most of them, the gate before it the others, and the service tells them. Third road: why no
`Txn` is planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from topology.claims.model import Bucket, Subject
from topology.claims.owners import OwnerElsewhere, OwnerMoving, name_of
from topology.claims.rules import Unreadable


@dataclass(frozen=True, slots=True)
class WrongEpoch:
    """The owner is not at the epoch that the caller knows: it went away and came back meanwhile."""

    subject: Subject
    expected: int
    epoch: int

    def __str__(self) -> str:
        return f"{name_of(self.subject)} is at epoch {self.epoch}, not {self.expected}: look, then try again"


@dataclass(frozen=True, slots=True)
class Scattered:
    """Several cells claim for the owner, so that it is in none."""

    subject: Subject
    cells: tuple[int, ...]

    def __str__(self) -> str:
        cells = ", ".join(map(str, self.cells))
        return f"{name_of(self.subject)} has claims in the cells {cells}: have all but one destroy theirs"


@dataclass(frozen=True, slots=True)
class OwnerUnknown:
    """Nobody claims anything for the owner, and it never moved."""

    subject: Subject

    def __str__(self) -> str:
        return f"{name_of(self.subject)}: no cell claims anything for it"


@dataclass(frozen=True, slots=True)
class LeasesOpen:
    """The owner's claims are held by leases. Temporary, as long as their cell closes them."""

    subject: Subject
    leases: tuple[str, ...]

    def __str__(self) -> str:
        leases = ", ".join(self.leases[:10])
        more = f" and {len(self.leases) - 10} more" if len(self.leases) > 10 else ""
        return f"{name_of(self.subject)} has open leases, {leases}{more}: have them closed, then try again"


@dataclass(frozen=True, slots=True)
class Unfenced:
    """More is claimed for the owner by now than its cell was told to refuse. Temporary."""

    subject: Subject
    buckets: tuple[Bucket, ...]

    def __str__(self) -> str:
        return f"{name_of(self.subject)} goes on claiming ({len(self.buckets)} more by now): try again"


@dataclass(frozen=True, slots=True)
class FenceLifted:
    """What told the source cell to refuse was taken back: by another call, or because it took too long."""

    subject: Subject

    def __str__(self) -> str:
        return f"{name_of(self.subject)} is let in again by the cell that it was to leave: try again"


@dataclass(frozen=True, slots=True)
class SidecarsBehind:
    """These sidecars of the source cell have not acknowledged that they refuse the owner. Temporary."""

    subject: Subject
    sidecars: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(self.sidecars[:10])
        more = f" and {len(self.sidecars) - 10} more" if len(self.sidecars) > 10 else ""
        return (
            f"{name_of(self.subject)} may still be written for in the cell that it leaves; not acknowledged "
            f"by {names}{more}: try again, and once such a sidecar is stopped for good, forget it "
            "(`cellplane fleet forget`)"
        )


TransferObstacle = (
    OwnerElsewhere
    | OwnerMoving
    | WrongEpoch
    | Scattered
    | OwnerUnknown
    | LeasesOpen
    | Unreadable
    | Unfenced
    | FenceLifted
    | SidecarsBehind
)
