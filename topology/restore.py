"""A cell as it was before a change, planned by the rules that hold for every other change.

The way back of a push leads through here. What cannot be had back is refused with why: an id that is
retired, a move that the lifecycle does not know, a record that somebody wrote since. Third road: a call
plans a `Txn`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from topology.changes import differences
from topology.model import Cell, Problem, Stamp
from topology.plan import Outcome, Plan, Refusal, unknown
from topology.planning import plan_remove, plan_set_state, plan_update
from topology.steps import Step, together
from topology.view import View


def plan_restore(view: View, cell_id: int, before: Cell | None, revision: int, stamp: Stamp) -> Outcome:
    """Plan a cell as it was before the write at `revision` (0: its removal); None: it was not there.

    Its state goes back by a move of the lifecycle, its contents by an update, together. Claims stay where
    they are, and so does the cell's epoch: what is told apart by it must not be told apart wrongly.
    """
    now = view.cells.get(cell_id)
    if before is not None and now is None:
        return Refusal(problems=(unknown(view, cell_id),))
    if view.cell_revision(cell_id) != revision:
        words = f"cell {cell_id} is gone already" if now is None else _written_since(now)
        problem = Problem(field=f"cell {cell_id}", message=f"{words}: what came later goes back first")
        return Refusal(problems=(problem,))
    if before is None or now is None:
        return plan_remove(view, [cell_id], stamp)
    steps = []
    if before.state is not now.state:
        seconds = before.drain.seconds if before.drain is not None else None
        steps.append(
            Step("its state", partial(_move, cell_id=cell_id, before=before, stamp=stamp, seconds=seconds))
        )
    steps.append(Step("its contents", partial(_contents, cell_id=cell_id, before=before, stamp=stamp)))
    outcome = together(view, steps)
    if not isinstance(outcome, Plan) or outcome.cell is None:
        return outcome
    told = differences(now, replace(outcome.cell, stamp=now.stamp)) or ("as it was already",)
    return replace(outcome, summary=tuple(f"cell {cell_id}: {line}" for line in told))


def _move(view: View, cell_id: int, before: Cell, stamp: Stamp, seconds: int | None) -> Outcome:
    return plan_set_state(view, cell_id, before.state, stamp, seconds)


def _contents(view: View, cell_id: int, before: Cell, stamp: Stamp) -> Outcome:
    """Plan what the cell held before, in the state that it has now."""
    now = view.cells[cell_id]
    contents = replace(
        before,
        state=now.state,
        drain=now.drain,
        previous_state=now.previous_state,
        epoch=max(now.epoch, before.epoch),
        stamp=stamp,
    )
    return plan_update(view, contents)


def _written_since(cell: Cell) -> str:
    because = f" ({cell.stamp.reason})" if cell.stamp.reason else ""
    return f"cell {cell.id} was written again by {cell.stamp.updated_by} at {cell.stamp.updated_at}{because}"
