"""What a planned change is: a Txn to commit, the reasons against it, or the news that somebody was faster.

`planning` makes them from a View with what is here, `apply` commits them. Third road: a service call plans a
`Txn`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from topology.checks import stamp_problems
from topology.codec import SCHEMA, encode, to_json
from topology.model import Cell, Document, Problem, Stamp
from topology.store import Compare, Txn
from topology.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A change ready to commit. `summary` is what a dry run shows; `cell` is the cell afterwards.

    `keys` are the records that the change is about. Where another writer was faster on one of them, the
    operator must look again; where it was on any other key that the Txn compares, planning anew is enough.
    """

    txn: Txn
    summary: tuple[str, ...]
    cell: Cell | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the change is not made: each problem with its field and its fix."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """Somebody changed the record since the operator saw it: what, and who. `cell` is how it is now."""

    key: str
    seen_revision: int
    revision: int
    changes: tuple[str, ...]
    cell: Cell | None = None


Outcome = Plan | Refusal | Overtaken


def find(view: View, cell_id: int, stamp: Stamp, expected_revision: int | None) -> Cell | Refusal | Overtaken:
    """Give the cell that a change is about, as the operator saw it, or why there is none to change."""
    if problems := stamp_problems(stamp):
        return Refusal(problems=problems)
    cell = view.cells.get(cell_id)
    if cell is None:
        return Refusal(problems=(unknown(view, cell_id),))
    return overtaken(view, view.keyspace.cell(cell_id), expected_revision, cell) or cell


def unknown(view: View, cell_id: int) -> Problem:
    """Say why there is no such cell."""
    key = view.keyspace.cell(cell_id)
    if cell_id in view.retired:
        gone = view.retired[cell_id].stamp
        words = (
            f"cell {cell_id} was removed at {gone.updated_at} by {gone.updated_by}: name one that is there"
        )
    elif key in view.quarantined:
        words = (
            f"the record at {key} is kept out ({view.quarantined[key].reason}): write it anew or delete it"
        )
    else:
        known = ", ".join(str(each) for each in list(view.cells)[:20]) or "none"
        words = f"there is no cell {cell_id}: name one of those that are there ({known})"
    return Problem(field="id", message=words)


def overtaken(view: View, key: str, expected: int | None, record: Cell | Document | None) -> Overtaken | None:
    """Say who changed a record since the revision that the operator expects; None where nobody did."""
    found = view.mod_revisions.get(key, 0)
    if expected is None or expected == found:
        return None
    changes: tuple[str, ...] = ("is gone",)
    if record is not None:
        because = f": {record.stamp.reason}" if record.stamp.reason else ""
        changes = (f"last written by {record.stamp.updated_by} at {record.stamp.updated_at}{because}",)
    cell = record if isinstance(record, Cell) else None
    return Overtaken(key=key, seen_revision=expected, revision=found, changes=changes, cell=cell)


def as_seen(view: View, key: str) -> Compare:
    """Compare a key with what the View saw there."""
    return Compare(key, view.mod_revisions.get(key, 0))


def rewrite(view: View, cell: Cell, told: Iterable[str], leans: tuple[Compare, ...]) -> Plan:
    """Plan a cell's record anew, together with the cells that the decision leans on."""
    key = view.keyspace.cell(cell.id)
    return Plan(
        txn=Txn(compares=(as_seen(view, key), *leans), puts=((key, encode(cell)),)),
        summary=tuple(f"cell {cell.id}: {line}" for line in told),
        cell=cell,
        keys=(key,),
    )


def registered(
    view: View,
    stamp: Stamp,
    change: str,
    compares: Iterable[Compare],
    puts: tuple[tuple[str, bytes], ...],
    deletes: tuple[str, ...] = (),
) -> Txn:
    """Make a Txn that also compares and rewrites the registry key, so that of two such only one commits."""
    registry = view.keyspace.registry
    body = {
        "schema": SCHEMA,
        "change": change,
        "updated_by": stamp.updated_by,
        "updated_at": stamp.updated_at,
    }
    return Txn(
        compares=(*compares, as_seen(view, registry)),
        puts=(*puts, (registry, to_json({**body, "reason": stamp.reason}))),
        deletes=deletes,
    )
