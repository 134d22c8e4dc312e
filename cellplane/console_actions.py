"""What may be done from the console, each planned as the command line's own changes are.

The pages hand in a name and a body; a step comes out, which the changer shows or does. Third road: a call
plans a `Txn`; its effect comes back as an Event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import grpc

from cellplane.document_writers import freeze_pushes, release_push, release_version, roll_back
from cellplane.held_versions import document_name, held_versions
from cellplane.push_history import PushHistory
from cellplane.push_rollback import rollback_body, why_not
from cellplane.pushes import EDGE, EVERYTHING, held_pushes
from cellplane.wave_orders import plan_order
from topology.model import CellState, Problem, Stamp
from topology.planning import Outcome, Refusal, plan_set_state
from topology.service.failure import Failure, invalid, not_found
from topology.steps import Step
from topology.view import View

CELL_STATES: Final = (CellState.ACTIVE, CellState.CANARY, CellState.CORDONED, CellState.QUARANTINED)
"""What a cell may be made here. Drains and removals take more than a button."""

Action: TypeAlias = Callable[[Mapping[str, Any], Stamp, PushHistory], Step]


def step_of(name: str, body: Mapping[str, Any], stamp: Stamp, history: PushHistory) -> Step:
    """Give the step of an action. Raise Failure where there is none, or its body is not right."""
    action = ACTIONS.get(name)
    if action is None:
        raise not_found(f"there is no action {name[:40]!r}: use one of {', '.join(ACTIONS)}")
    if not stamp.reason.strip():
        raise invalid("reason: is empty: say why; whoever is on call next has to know")
    return action(body, stamp, history)


def _freeze(_: Mapping[str, Any], stamp: Stamp, __: PushHistory) -> Step:
    return Step("the freeze", lambda view: freeze_pushes(view, EVERYTHING, {}, stamp))


def _resume(_: Mapping[str, Any], stamp: Stamp, __: PushHistory) -> Step:
    return Step("the end of the freeze", lambda view: freeze_pushes(view, EVERYTHING, None, stamp))


def _release(body: Mapping[str, Any], stamp: Stamp, _: PushHistory) -> Step:
    identity = _text(body, "id")

    def plan(view: View) -> Outcome:
        push = next((each for each in held_pushes(view) if each.id == identity), None)
        if push is not None:
            return release_push(view, identity, {}, stamp)
        version = next((each for each in held_versions(view) if each.id == identity), None)
        if version is not None:
            name = document_name(version.group, version.record.key)
            return release_version(view, name, None, stamp)
        return Refusal(problems=(Problem(field="id", message=f"nothing is held by the id {identity!r}"),))

    return Step(f"the release of {identity}", plan)


def _rollback(body: Mapping[str, Any], stamp: Stamp, history: PushHistory) -> Step:
    identity = _text(body, "id")
    found = history.find(identity)
    if len(found) != 1:
        raise not_found(f"there is no push {identity} in the history")
    push = found[0]
    if reasons := why_not(push.body):
        words = f"push {push.id} cannot be rolled back: {reasons}"
        raise Failure(grpc.StatusCode.FAILED_PRECONDITION, words, "REFUSED")
    asked = rollback_body(push.body)
    return Step(f"the roll-back of push {push.id}", lambda view: roll_back(view, push.id, asked, stamp))


def _cell(body: Mapping[str, Any], stamp: Stamp, _: PushHistory) -> Step:
    cell_id = body.get("cell")
    if not isinstance(cell_id, int) or isinstance(cell_id, bool):
        raise invalid("cell: is missing: name a cell by its number")
    wanted = _text(body, "state")
    if wanted not in CELL_STATES:
        raise invalid(f"state: {wanted[:40]!r} is not for the console: use one of {', '.join(CELL_STATES)}")
    state = CellState(wanted)
    return Step(f"cell {cell_id}", lambda view: plan_set_state(view, cell_id, state, stamp))


def _wave(body: Mapping[str, Any], stamp: Stamp, _: PushHistory) -> Step:
    order = {"wave": _text(body, "id"), "word": _text(body, "word")}
    return Step(f"the wave of push {order['wave']}", lambda view: plan_order(view, EDGE, order, stamp))


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"{name}: is missing")
    return value


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        "freeze": _freeze,
        "resume": _resume,
        "release": _release,
        "rollback": _rollback,
        "wave": _wave,
        "cell": _cell,
    }
)
