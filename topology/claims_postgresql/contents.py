"""What a claim store holds, as it counts, and digests of it: how a copy is compared with what it was made of.

The copy makes one of each side. It talks to nobody. Third road: what is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from topology.claims.codec import encode_lease, encode_record
from topology.claims.index import ClaimIndex
from topology.claims.model import Lease, Record
from topology.claims.owner_codec import encode_owner
from topology.claims.owners import Owner
from topology.claims.rules import placed
from topology.claims.store import Changes, Odd


@dataclass(frozen=True, slots=True)
class Part:
    """How many there are of a kind, and a digest of them all."""

    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Records by uuid, leases by uuid, owners by name."""

    records: Mapping[str, Record]
    leases: Mapping[str, Lease]
    owners: Mapping[str, Owner]

    def parts(self) -> dict[str, Part]:
        """Count and digest by kind: each bucket type, leases, owners."""
        lines: dict[str, list[bytes]] = {"leases": [], "owners": []}
        for record in self.records.values():
            lines.setdefault(record.bucket.type.name, []).append(encode_record(record))
        lines["leases"] = [encode_lease(lease) for lease in self.leases.values()]
        lines["owners"] = [encode_owner(owner) for owner in self.owners.values()]
        return {kind: _part(found) for kind, found in sorted(lines.items())}


def contents_of(listing: Changes) -> Contents | tuple[str, ...]:
    """Read a listing; or say what keeps it from being copied now."""
    index = ClaimIndex()
    index.load(listing)
    problems = [
        f"{entry.key} can't be read: {entry.reason}" for entry in listing.entries if isinstance(entry, Odd)
    ]
    problems += [f"{uuid} is being written or finished: try again soon" for uuid in index.unfinished()]
    records: dict[str, Record] = {}
    for entry in listing.entries:
        if isinstance(entry, Record):
            record = placed(entry, index.owners)
            records[record.uuid] = record
            if record.lease and record.lease not in index.leases:
                problems.append(f"{record.bucket} is held by lease {record.lease}, which is not there")
    if problems:
        return tuple(problems)
    # Where the records of a lease are noted differs from store to store.
    leases = {uuid: replace(lease, creates=(), destroys=(), parts=0) for uuid, lease in index.leases.items()}
    return Contents(records, leases, {owner.name: owner for owner in index.owners.values()})


def _part(lines: Iterable[bytes]) -> Part:
    ordered = sorted(lines)
    return Part(len(ordered), sha256(b"\n".join(ordered)).hexdigest()[:16])
