"""Several changes that belong together: each planned on what those before it leave behind.

The service plans all with it before it makes the first; nothing is written here. Third road: a service call
plans a `Txn`, here several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from topology.model import Problem
from topology.plan import Outcome, Overtaken, Plan, Refusal
from topology.store import Batch, Compare, Event, EventKind, Record, Txn
from topology.view import View, fold


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what it is called in an error, how it is planned, and which cells it relies on to own
    nothing.
    """

    what: str
    plan: Callable[[View], Outcome]
    empties: tuple[int, ...] = ()


def after(view: View, plan: Plan) -> View:
    """Give the View that a plan would leave behind; its revision is a guess."""
    revision = view.revision + 1
    puts = [
        Event(EventKind.PUT, key, revision, Record(key, value, revision, revision, 1))
        for key, value in plan.txn.puts
    ]
    deletes = [Event(EventKind.DELETE, key, revision) for key in plan.txn.deletes]
    return fold(view, Batch(revision, (*puts, *deletes)))


def as_shown(step: Step, shown: Plan) -> Callable[[View], Outcome]:
    """Plan a step again, but only as it was shown: where it would do something else, somebody was faster."""

    def plan(view: View) -> Outcome:
        again = step.plan(view)
        if isinstance(again, Plan) and again.summary != shown.summary:
            return overtaken_by(view, again)
        return again

    return plan


def overtaken_by(view: View, now: Plan) -> Overtaken:
    """Say that a change is not what it was any more, and what it would be now."""
    return Overtaken(key=", ".join(now.keys), seen_revision=0, revision=view.revision, changes=now.summary)


def together(view: View, steps: Sequence[Step]) -> Outcome:
    """Plan several changes as one transaction: all of them happen at one revision, or none.

    Gives the first outcome that is no plan, or a refusal where one transaction cannot hold them all.
    """
    now = view
    compares: dict[str, Compare] = {}
    puts: dict[str, bytes] = {}
    deletes: dict[str, None] = {}
    plans: list[Plan] = []
    for step in steps:
        outcome = step.plan(now)
        if not isinstance(outcome, Plan):
            return outcome
        for compare in outcome.txn.compares:
            # What an earlier step wrote is compared as that one saw it.
            if compare.key not in puts and compare.key not in deletes:
                compares.setdefault(compare.key, compare)
        for key, value in outcome.txn.puts:
            puts[key] = value
            deletes.pop(key, None)
        for key in outcome.txn.deletes:
            puts.pop(key, None)
            deletes[key] = None
        plans.append(outcome)
        now = after(now, outcome)
    try:
        txn = Txn(tuple(compares.values()), tuple(puts.items()), tuple(deletes))
    except ValueError as error:
        return Refusal(problems=(Problem(field="changes", message=f"{error}: make them one by one"),))
    return Plan(
        txn=txn,
        summary=tuple(line for plan in plans for line in plan.summary),
        cell=next((plan.cell for plan in reversed(plans) if plan.cell is not None), None),
        keys=tuple(dict.fromkeys(key for plan in plans for key in plan.keys)),
    )
