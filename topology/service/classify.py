"""Which cell a classification key belongs to, from a View and the claims in memory.

The service makes keys of requests and answers of decisions. It reads no message, waits for nothing and never
turns a failure into "not found". `Request -> ClassificationKey -> Decision`, its second arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from topology.claims.model import Bucket, Record
from topology.lifecycle import serves
from topology.model import Cell, CellState
from topology.view import View


@dataclass(frozen=True, slots=True)
class ByClaims:
    """In order: the first that somebody owns decides."""

    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class FirstCell:
    """The cell for what nobody owns."""


@dataclass(frozen=True, slots=True)
class BySessionPrefix:
    """What a session cookie begins with."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ByCellId:
    """A cell's id, from a token."""

    cell_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long answers may be remembered, in seconds.

    A name that nobody owns may be claimed at any moment, so that answer is short-lived. `stale` is how much
    longer an answer may be used while nobody can be asked.
    """

    found: int = 60
    not_found: int = 5
    stale: int = 3600


ClassificationKey = ByClaims | FirstCell | BySessionPrefix | ByCellId


@dataclass(frozen=True, slots=True)
class Routed:
    """The cell, and the claim that decided, if one did."""

    cell: Cell
    bucket: Bucket | None = None


@dataclass(frozen=True, slots=True)
class NoCell:
    """A normal answer: nobody owns it, or who does is not there to serve it."""

    reason: str


Decision = Routed | NoCell
Find = Callable[[Bucket], Record | None]


def classify(view: View, find: Find, key: ClassificationKey) -> Decision:
    """Decide. A claim that is only leased counts already."""
    match key:
        case ByClaims(buckets):
            return _by_claims(view, find, buckets)
        case FirstCell():
            first = next((cell for cell in view.cells.values() if is_routed(cell)), None)
            return Routed(first) if first else NoCell("no cell serves")
        case BySessionPrefix(prefix):
            named = next((cell for cell in view.cells.values() if cell.session_prefix == prefix), None)
            return _hinted(named, f"no cell has the session prefix {prefix!r}")
        case ByCellId(cell_id):
            return _hinted(view.cells.get(cell_id), f"there is no cell {cell_id}")


def is_routed(cell: Cell) -> bool:
    """Tell whether traffic is sent there.

    A quarantined cell counts: what it owns is nowhere else, and "not found" would send it to the default.
    """
    return serves(cell.state) or cell.state is CellState.QUARANTINED


def _hinted(cell: Cell | None, nobody: str) -> Decision:
    if cell is None:
        return NoCell(nobody)
    return Routed(cell) if is_routed(cell) else NoCell(f"cell {cell.id} is {cell.state} and serves nobody")


_NOBODY: Final = NoCell("nobody claims it")


def _by_claims(view: View, find: Find, buckets: tuple[Bucket, ...]) -> Decision:
    answer: Decision = _NOBODY
    for bucket in buckets:
        record = find(bucket)
        if record is None:
            continue
        found = _hinted(view.cells.get(record.cell_id), f"{bucket} is claimed by an unknown cell")
        if isinstance(found, Routed):
            return Routed(found.cell, bucket)
        answer = found
    return answer
