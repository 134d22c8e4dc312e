"""Several changes that belong together: each planned on what those before it leave behind.

The service plans all with it before it makes the first; nothing is written here. Third road: a service call
plans a `Txn`, here several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from topology.plan import Outcome, Overtaken, Plan
from topology.store import Batch, Event, EventKind, Record
from topology.view import View, fold


@dataclass(frozen=True, slots=True)
class Step:
    """One change: what it is called in an error, and how it is planned."""

    what: str
    plan: Callable[[View], Outcome]


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
