"""Changes to the topology, planned: a View and a wish in, a Txn or the reasons against it out.

The only way to write, which the command and the service take through `apply`. It commits nothing and reads no
clock: the moment is the stamp's. Third road: a service call plans a `Txn`, the store commits it.

How writers are kept apart: a Txn compares every record that it rewrites with the revision seen in the View.
What must be unique over all cells (ids, names, endpoints, session prefixes, sequences) is guarded by one
registry key, which every plan that adds, removes or enlarges a cell compares and rewrites: of two such plans
made from one View only one commits. A guard that leans on another cell ("another cell takes unowned traffic")
compares that cell too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from topology import forms, guards, lifecycle
from topology.changes import differences
from topology.checks import cell_problems, stamp_problems
from topology.codec import encode
from topology.documents import plan_document
from topology.model import MAX_WEIGHT, Cell, CellState, Drain, Problem, Retired, Stamp
from topology.plan import (
    Outcome,
    Overtaken,
    Plan,
    Refusal,
    as_seen,
    find,
    registered,
    rewrite,
    unknown,
)
from topology.store import MAX_TXN_OPERATIONS, Compare, Txn
from topology.uniqueness import same_holding
from topology.view import View

__all__ = [
    "Outcome",
    "Overtaken",
    "Plan",
    "Refusal",
    "plan_add",
    "plan_document",
    "plan_remove",
    "plan_set_state",
    "plan_set_weight",
    "plan_update",
]

DEFAULT_DRAIN_SECONDS: Final = 300
# For each: its record, its tombstone and its last begin; and the registry.
MAX_REMOVED_AT_ONCE: Final = (MAX_TXN_OPERATIONS - 1) // 3


def plan_add(view: View, cell: Cell, *, force: bool = False) -> Plan | Refusal:
    """Plan a new cell, which starts in PROVISIONING. Its id was never used, and nothing of it is shared.

    `force` lets its sequences be short, for a cell that does not live long.
    """
    problems = [*cell_problems(cell), *guards.already_used(view, cell), *guards.shared(view, cell)]
    problems += () if force else guards.unusual_sequences(cell)
    if cell.state is not CellState.PROVISIONING:
        message = f"a new cell cannot start in {cell.state}: add it in PROVISIONING, then set its state"
        problems.append(Problem(field="state", message=message))
    if problems:
        return Refusal(problems=tuple(problems))
    key = view.keyspace.cell(cell.id)
    absent = (Compare(key, 0), Compare(view.keyspace.retired(cell.id), 0))
    return Plan(
        txn=registered(view, cell.stamp, f"added cell {cell.id}", absent, ((key, encode(cell)),)),
        summary=(f"cell {cell.id}: add {cell.name} in {cell.state}, weight {cell.weight}",),
        cell=cell,
    )


def plan_update(
    view: View, cell: Cell, expected_revision: int | None = None, *, force: bool = False
) -> Outcome:
    """Plan new contents for a cell: all but its id, state and session prefix; sequences only grow.

    Over a record that is kept out, and of which no good one is known, the cell is taken whole: that mends it.
    """
    key = view.keyspace.cell(cell.id)
    mended = view.quarantined.get(key) if cell.id not in view.cells else None
    before = None
    if mended is None:
        found = find(view, cell.id, cell.stamp, expected_revision)
        if not isinstance(found, Cell):
            return found
        before = found
    problems = [*cell_problems(cell), *guards.shared(view, cell)]
    leans: tuple[lifecycle.Guard, ...] = ()
    if before is not None:
        problems += guards.fixed(before, cell)
        problems += () if force else guards.weightless(view, before, cell.weight)
        problems += () if force else guards.unusual_sequences(cell, before.sequence_ranges)
        leans = _leans(cell.weight, force=force)
    if problems:
        return Refusal(problems=tuple(problems))
    compares = (as_seen(view, key), *guards.witnesses(view, cell, leans))
    puts = ((key, encode(cell)),)
    if before is not None and _claims_nothing_new(before, cell):
        txn = Txn(compares=compares, puts=puts)
    else:
        txn = registered(view, cell.stamp, f"changed cell {cell.id}", compares, puts)
    told = (f"mends its record ({mended.reason})",) if mended is not None else _told(before, cell)
    return Plan(txn=txn, summary=tuple(f"cell {cell.id}: {line}" for line in told), cell=cell, keys=(key,))


def plan_set_state(
    view: View,
    cell_id: int,
    to: CellState,
    stamp: Stamp,
    over_seconds: int | None = None,
    expected_revision: int | None = None,
    *,
    force: bool = False,
) -> Outcome:
    """Plan a move in the lifecycle. `over_seconds` is a drain's; `force` overrides guards, not the table."""
    cell = find(view, cell_id, stamp, expected_revision)
    if not isinstance(cell, Cell):
        return cell
    problems = tuple(guards.forbidden(cell, to, over_seconds))
    move = lifecycle.transition(cell.state, to)
    if problems or move is None:
        return Refusal(problems=problems)
    if not force and (problems := tuple(guards.unmet(view, cell, move.guards, _moment(stamp)))):
        return Refusal(problems=problems)
    after = _moved(cell, to, stamp, DEFAULT_DRAIN_SECONDS if over_seconds is None else over_seconds)
    told = [f"{cell.state} → {to}", f"routing: {move.routing}", f"placement: {move.placement}"]
    if after.drain and after.drain is not cell.drain:
        words = f"falls to zero over {after.drain.seconds} s" if after.drain.seconds else "is zero at once"
        told.append(f"its share of unowned traffic {words}")
    leans = () if force else guards.witnesses(view, cell, move.guards)
    return rewrite(view, after, told, leans)


def plan_set_weight(
    view: View,
    cell_id: int,
    weight: int,
    stamp: Stamp,
    expected_revision: int | None = None,
    *,
    force: bool = False,
) -> Outcome:
    """Plan another share of unowned traffic and newcomers. What the cell owns stays with it."""
    cell = find(view, cell_id, stamp, expected_revision)
    if not isinstance(cell, Cell):
        return cell
    if not 0 <= weight <= MAX_WEIGHT:
        problem = Problem(field="weight", message=f"{weight} is out of range: use 0 to {MAX_WEIGHT}")
        return Refusal(problems=(problem,))
    if not force and (problems := tuple(guards.weightless(view, cell, weight))):
        return Refusal(problems=problems)
    told = (f"weight {cell.weight} → {weight}, of unowned traffic and newcomers only",)
    leans = guards.witnesses(view, cell, _leans(weight, force=force))
    return rewrite(view, replace(cell, weight=weight, stamp=stamp), told, leans)


def plan_remove(view: View, cell_ids: Iterable[int], stamp: Stamp, *, force: bool = False) -> Plan | Refusal:
    """Plan the end of cells: each leaves a tombstone, so that its id, session prefix and sequences stay used.

    `force` removes cells in any state, and the last ones too.
    """
    ids = tuple(dict.fromkeys(cell_ids))
    problems = [*stamp_problems(stamp)]
    if not 1 <= len(ids) <= MAX_REMOVED_AT_ONCE:
        problems.append(
            Problem(field="cells", message=f"{len(ids)} are named: name 1 to {MAX_REMOVED_AT_ONCE}")
        )
    problems += [unknown(view, cell_id) for cell_id in ids if cell_id not in view.cells]
    cells = tuple(view.cells[cell_id] for cell_id in ids if cell_id in view.cells)
    if not force:
        problems += guards.not_removable(view, cells)
    if problems:
        return Refusal(problems=tuple(problems))
    keyspace = view.keyspace
    keys = tuple(keyspace.cell(cell.id) for cell in cells)
    compares = [as_seen(view, key) for key in keys]
    compares += [Compare(keyspace.retired(cell.id), 0) for cell in cells]
    puts = tuple((keyspace.retired(cell.id), encode(_tombstone(cell, stamp))) for cell in cells)
    words = f"removed {', '.join(f'cell {cell.id}' for cell in cells)}"
    return Plan(
        txn=registered(view, stamp, words, compares, puts, deletes=keys),
        summary=tuple(f"cell {cell.id}: remove {cell.name}, in {cell.state}" for cell in cells),
        keys=keys,
    )


def _moved(cell: Cell, to: CellState, stamp: Stamp, seconds: int) -> Cell:
    """Give the cell in its new state. A quarantine keeps a drain; only what took unowned traffic ramps."""
    draining = CellState.DRAINING in (cell.state, cell.previous_state)
    drain = None
    if to is CellState.QUARANTINED or (to is CellState.DRAINING and draining):
        drain = cell.drain
    elif to is CellState.DRAINING:
        ramp = seconds if lifecycle.accepts_newcomers(cell.state) else 0
        drain = Drain(started_at=stamp.updated_at, seconds=ramp)
    previous = cell.state if to is CellState.QUARANTINED else None
    return replace(cell, state=to, drain=drain, previous_state=previous, stamp=stamp)


def _moment(stamp: Stamp) -> datetime:
    moment = forms.parse_utc(stamp.updated_at)
    if moment is None:
        raise AssertionError("a stamp is checked before its time is asked for")
    return moment


def _leans(weight: int, *, force: bool) -> tuple[lifecycle.Guard, ...]:
    return (lifecycle.Guard.OTHERS_TAKE_UNOWNED,) if weight == 0 and not force else ()


def _claims_nothing_new(before: Cell, after: Cell) -> bool:
    places = set(guards.places_of(before)) >= set(guards.places_of(after))
    return places and before.name == after.name and same_holding(before, after)


def _told(before: Cell | None, cell: Cell) -> tuple[str, ...]:
    """Tell what changes, but not when: what is planned again a moment later shall read alike."""
    told = differences(None if before is None else replace(before, stamp=cell.stamp), cell)
    return told or ("nothing changes but who wrote it last",)


def _tombstone(cell: Cell, stamp: Stamp) -> Retired:
    return Retired(
        id=cell.id,
        name=cell.name,
        session_prefix=cell.session_prefix,
        sequence_ranges=cell.sequence_ranges,
        stamp=stamp,
    )
