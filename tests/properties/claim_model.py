"""What claims should do, said as simply as can be: the model that stores are held against.

One value after the other, no keys, no revisions, no parts. `claims` maps a value to its cell, its lease
(empty: none) and whether the lease creates it; `leases` maps a lease to its cell. Each value has an owner of
its own; `owners` maps those that were moved to their cell and epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Owned:
    """Who owns a value, and which lease holds it."""

    cell_id: int
    lease: str = ""
    creating: bool = False


@dataclass
class ClaimModel:
    """Claims and leases."""

    claims: dict[str, Owned] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    owners: dict[str, tuple[int, int]] = field(default_factory=dict)

    def refuses(self, cell_id: int, creates: frozenset[str], destroys: frozenset[str]) -> bool:
        """Tell whether a begin must be refused."""
        if any(value in self.claims for value in creates):
            return True
        if any(self.owners.get(value, (cell_id, 1))[0] != cell_id for value in creates):
            return True
        mine = (self.claims.get(value) for value in destroys)
        return any(claim is None or claim.cell_id != cell_id or claim.lease for claim in mine)

    def begin(self, lease: str, cell_id: int, creates: frozenset[str], destroys: frozenset[str]) -> None:
        """Lease what was not refused."""
        self.leases[lease] = cell_id
        self.claims |= {value: Owned(cell_id, lease, creating=True) for value in creates}
        self.claims |= {value: Owned(cell_id, lease) for value in destroys}

    def close(self, lease: str, cell_id: int, *, commit: bool) -> bool:
        """Close a lease; False where there is none of this cell's."""
        if self.leases.get(lease) != cell_id:
            return False
        del self.leases[lease]
        for value, claim in tuple(self.claims.items()):
            if claim.lease == lease:
                if claim.creating == commit:
                    self.claims[value] = Owned(cell_id)
                else:
                    del self.claims[value]
        return True

    def transfer(self, value: str, source: int, to: int, epoch: int) -> bool:
        """Move a value's owner; False where it is not there, not at that epoch, or held by a lease."""
        claim, owner = self.claims.get(value), self.owners.get(value)
        if claim is None and owner is None:
            return False
        known = owner or (claim.cell_id if claim else 0, 1)
        if known != (source, epoch) or (claim and claim.lease):
            return False
        self.owners[value] = (to, epoch + 1)
        if claim:
            self.claims[value] = Owned(to)
        return True

    def status(self, value: str) -> tuple[int, str] | None:
        """Give the owner and the status of a value."""
        claim = self.claims.get(value)
        if claim is None:
            return None
        if not claim.lease:
            return claim.cell_id, "ACTIVE"
        return claim.cell_id, "LEASE_CREATING" if claim.creating else "LEASE_DESTROYING"
