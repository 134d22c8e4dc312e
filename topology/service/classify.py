"""Which cell a classification key belongs to, from a View, the claims in memory and what operators override.

The service makes keys of requests and answers of decisions. It reads no message, waits for nothing and never
turns a failure into "not found". `Request -> ClassificationKey -> Decision`, its second arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from topology.claims.model import Bucket, Record, Subject
from topology.claims.owners import name_of
from topology.forms import format_utc
from topology.lifecycle import serves
from topology.model import Cell, CellState
from topology.overrides import NONE, Action, Override, Overrides
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
    """The cell, and the claim that decided, if one did. `seconds`: an operator's word holds no longer."""

    cell: Cell
    bucket: Bucket | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class NoCell:
    """A normal answer: nobody owns it, or who does is not there to serve it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """An operator has the owner of this claim refused: no other claim is tried, and it is no "not found"."""

    bucket: Bucket
    owner: str
    until: str


Decision = Routed | NoCell | Blocked
Find = Callable[[Bucket], Record | None]


@dataclass(frozen=True, slots=True)
class Overruled:
    """What operators override at a moment: owners who are pinned or blocked, cells that are passed over."""

    overrides: Overrides
    now: datetime
    passed: frozenset[int]

    def owner(self, subject: Subject) -> Override | None:
        """Give what is in force for an owner."""
        return self.overrides.of_owner(name_of(subject), self.now) if self.overrides.owners else None


def overruled(overrides: Overrides, now: datetime) -> Overruled:
    """Say what is in force at a moment."""
    return Overruled(overrides, now, overrides.passed(now))


NOTHING: Final = Overruled(NONE, datetime.min.replace(tzinfo=UTC), frozenset())


def classify(view: View, find: Find, key: ClassificationKey, by_hand: Overruled = NOTHING) -> Decision:
    """Decide. A claim that is only leased counts already."""
    passed = by_hand.passed
    match key:
        case ByClaims(buckets):
            return _by_claims(view, find, buckets, by_hand)
        case FirstCell():
            first = next(
                (cell for cell in view.cells.values() if is_routed(cell) and cell.id not in passed), None
            )
            return Routed(first) if first else NoCell("no cell serves")
        case BySessionPrefix(prefix):
            named = next((cell for cell in view.cells.values() if cell.session_prefix == prefix), None)
            return _hinted(named, f"no cell has the session prefix {prefix!r}", passed)
        case ByCellId(cell_id):
            return _hinted(view.cells.get(cell_id), f"there is no cell {cell_id}", passed)


def is_routed(cell: Cell) -> bool:
    """Tell whether traffic is sent there.

    A quarantined cell counts: what it owns is nowhere else, and "not found" would send it to the default.
    """
    return serves(cell.state) or cell.state is CellState.QUARANTINED


def _hinted(cell: Cell | None, nobody: str, passed: frozenset[int]) -> Routed | NoCell:
    if cell is None:
        return NoCell(nobody)
    if cell.id in passed:
        return NoCell(f"cell {cell.id} is passed over by an operator")
    return Routed(cell) if is_routed(cell) else NoCell(f"cell {cell.id} is {cell.state} and serves nobody")


_NOBODY: Final = NoCell("nobody claims it")


def _by_claims(view: View, find: Find, buckets: tuple[Bucket, ...], by_hand: Overruled) -> Decision:
    answer: Decision = _NOBODY
    for bucket in buckets:
        record = find(bucket)
        if record is None:
            continue
        cell_id, seconds, said = record.cell_id, None, by_hand.owner(record.metadata.subject)
        if said is not None and said.action is Action.BLOCK:
            return Blocked(bucket, said.name, format_utc(said.until))
        if said is not None:
            cell_id, seconds = said.cell_id, int((said.until - by_hand.now).total_seconds())
        found = _hinted(view.cells.get(cell_id), f"{bucket} is claimed by an unknown cell", by_hand.passed)
        if isinstance(found, Routed):
            return Routed(found.cell, bucket, seconds)
        answer = found
    return answer
