"""Several changes planned one on the other, and planned again as they were shown."""

from __future__ import annotations

from functools import partial

from tests.topology.samples import LATER, cell
from topology.model import CellState
from topology.planning import Outcome, Overtaken, Plan, Refusal, plan_add, plan_set_state, plan_set_weight
from topology.steps import Step, after, as_shown, together
from topology.view import View


def planned(outcome: Outcome) -> Plan:
    assert isinstance(outcome, Plan), outcome
    return outcome


def test_a_step_is_planned_on_what_the_one_before_leaves_behind() -> None:
    adding = planned(plan_add(View(), cell(4, CellState.PROVISIONING)))
    view = after(View(), adding)
    assert view.cells[4].state is CellState.PROVISIONING
    moved = after(view, planned(plan_set_state(view, 4, CellState.CANARY, LATER)))
    assert moved.cells[4].state is CellState.CANARY
    assert moved.revision > view.revision > 0


def test_what_is_planned_again_must_read_as_it_was_shown() -> None:
    view = after(View(), planned(plan_add(View(), cell(4, CellState.PROVISIONING))))
    step = Step("weighing", partial(plan_set_weight, cell_id=4, weight=7, stamp=LATER))
    shown = planned(step.plan(view))
    assert as_shown(step, shown)(view) == shown
    meanwhile = after(view, planned(plan_set_weight(view, 4, 9, LATER)))
    faster = as_shown(step, shown)(meanwhile)
    assert isinstance(faster, Overtaken)
    assert (faster.key, faster.revision) == ("/cellplane/v1/cells/4", meanwhile.revision)
    assert "weight 9 → 7" in faster.changes[0]
    assert isinstance(as_shown(step, shown)(View()), Refusal)


def test_changes_together_are_one_transaction_that_compares_what_was_there() -> None:
    view = after(View(), planned(plan_add(View(), cell(4, CellState.PROVISIONING))))
    moving = Step("moving", partial(plan_set_state, cell_id=4, to=CellState.CANARY, stamp=LATER))
    weighing = Step("weighing", partial(plan_set_weight, cell_id=4, weight=7, stamp=LATER))
    made = planned(together(view, [moving, weighing]))
    assert [key for key, _ in made.txn.puts] == ["/cellplane/v1/cells/4"]
    assert {each.key: each.mod_revision for each in made.txn.compares}["/cellplane/v1/cells/4"] == 1
    assert (made.cell and made.cell.state, made.cell and made.cell.weight) == (CellState.CANARY, 7)
    assert len(made.summary) > 1
    adding = Step("adding", lambda seen: plan_add(seen, cell(4, CellState.PROVISIONING)))
    assert isinstance(together(view, [moving, adding]), Refusal), "one that cannot be planned stops them all"


def test_more_than_one_transaction_holds_is_refused() -> None:
    steps = [Step("adding", partial(plan_add, cell=cell(n, CellState.PROVISIONING))) for n in range(1, 140)]
    outcome = together(View(), steps)
    assert isinstance(outcome, Refusal)
    assert "make them one by one" in str(outcome.problems[0])
