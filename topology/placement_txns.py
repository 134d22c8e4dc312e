"""What becomes of placements, as transactions: a place reserved with its count, released, taken along.

`placements` reads what they compare and commits them. Pure. Third road: the `Txn` itself.

    /cellplane/v1-placements/requests/signup-7f3a    who went where, and why
    /cellplane/v1-placements/counts/4                how many a cell has
    /cellplane/v1-placements/owners/ORGANIZATION/42  by which requests an owner has its places
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from topology.model import Stamp
from topology.placement_records import (
    Count,
    Owned,
    Placement,
    encode_count,
    encode_owned,
    encode_placement,
)
from topology.store import Compare, Txn

Counts = Mapping[int, Count]


@dataclass(frozen=True, slots=True)
class PlacementKeys:
    """The keys of placements."""

    root: str

    def request(self, key: str) -> str:
        """Spell the key of a placement."""
        return f"{self.root}requests/{quote(key, safe='')}"

    def count(self, cell_id: int) -> str:
        """Spell the key of a cell's count."""
        return f"{self.root}counts/{cell_id}"

    def owner(self, owner: str) -> str:
        """Spell the key of what an owner has."""
        return f"{self.root}owners/{owner}"


def reserved(keys: PlacementKeys, placement: Placement, counts: Counts, owned: Owned, cell: Compare) -> Txn:
    """Reserve a place. `cell`: the one that was chosen is still as it was seen."""
    cell_id, owner, stamp = placement.cell_id, placement.wish.owner, placement.stamp
    count = counts.get(cell_id, Count())
    txn = Txn(
        compares=(
            Compare(keys.request(placement.wish.key), 0),
            Compare(keys.count(cell_id), count.revision),
            cell,
        ),
        puts=(
            (keys.request(placement.wish.key), encode_placement(placement)),
            (keys.count(cell_id), _counted(count, 1, stamp)),
        ),
    )
    more = Owned((*owned.requests, placement.wish.key), owned.revision)
    return _owning(keys, txn, owner, more, stamp) if owner else txn


def released(
    keys: PlacementKeys, placement: Placement, revision: int, counts: Counts, owned: Owned, stamp: Stamp
) -> Txn:
    """Free a place."""
    key, owner = placement.wish.key, placement.wish.owner
    count = counts.get(placement.cell_id, Count())
    txn = Txn(
        compares=(
            Compare(keys.request(key), revision),
            Compare(keys.count(placement.cell_id), count.revision),
        ),
        puts=((keys.count(placement.cell_id), _counted(count, -1, stamp)),),
        deletes=(keys.request(key),),
    )
    rest = Owned(tuple(each for each in owned.requests if each != key), owned.revision)
    return _owning(keys, txn, owner, rest, stamp) if owned.revision else txn


def noted(keys: PlacementKeys, placement: Placement, revision: int, owned: Owned, stamp: Stamp) -> Txn:
    """Write down that an owner has a place, which was given before that was kept."""
    owned = replace(owned, requests=(*owned.requests, placement.wish.key))
    txn = Txn(compares=(Compare(keys.request(placement.wish.key), revision),))
    return _owning(keys, txn, placement.wish.owner, owned, stamp)


def taken_along(
    keys: PlacementKeys, placement: Placement, revision: int, counts: Counts, cell_id: int, stamp: Stamp
) -> Txn:
    """Take a place along to the cell where its owner is by now, full or not: the owner is there already."""
    left, right = counts.get(placement.cell_id, Count()), counts.get(cell_id, Count())
    why = f"its owner went there from cell {placement.cell_id}"
    moved = replace(placement, cell_id=cell_id, why=why, stamp=stamp)
    return Txn(
        compares=(
            Compare(keys.request(placement.wish.key), revision),
            Compare(keys.count(placement.cell_id), left.revision),
            Compare(keys.count(cell_id), right.revision),
        ),
        puts=(
            (keys.request(placement.wish.key), encode_placement(moved)),
            (keys.count(placement.cell_id), _counted(left, -1, stamp)),
            (keys.count(cell_id), _counted(right, 1, stamp)),
        ),
    )


def _counted(count: Count, more: int, stamp: Stamp) -> bytes:
    return encode_count(replace(count, placed=max(0, count.placed + more)), stamp)


def _owning(keys: PlacementKeys, txn: Txn, owner: str, owned: Owned, stamp: Stamp) -> Txn:
    """Write down with it what an owner has by then."""
    key = keys.owner(owner)
    compares = (*txn.compares, Compare(key, owned.revision))
    if not owned.requests:
        return replace(txn, compares=compares, deletes=(*txn.deletes, key))
    return replace(txn, compares=compares, puts=(*txn.puts, (key, encode_owned(owned, stamp))))
