"""What may be done from the console, planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from cellplane.console_actions import ACTIONS, step_of
from cellplane.held_versions import REJECTED, body_of, hold_id
from cellplane.push_history import PushHistory
from cellplane.push_record import Push
from cellplane.pushes import FROZEN, HELD
from tests.cellplane.pushing import view_of
from tests.cellplane.test_console_state import HELD as HELD_VERSION
from tests.cellplane.test_push_rollback import AFTER, push
from tests.cellplane.views import STAMP, cell
from topology.planning import Plan, Refusal
from topology.service.failure import Failure
from topology.view import View

PUSH = Push(body=push(), acks={})
CELLS = view_of(10, cell(1), cell(2))
FREEZE = view_of(11, cell(1), before=CELLS, **{f"{FROZEN}__all": {}})
STOPPED = {
    "id": "0a1b2c3d", "group": "edge", "revision": 9, "reason": "r", "clusters_before": 2,
    "clusters_after": 1, "held_at": "t",
}  # fmt: skip


class History:
    def find(self, identity: str) -> list[Push]:
        return [PUSH] if PUSH.id == identity else []


def planned(name: str, view: View, **body: Any) -> Plan | str:
    outcome = step_of(name, body, STAMP, cast("PushHistory", History())).plan(view)
    if isinstance(outcome, Plan):
        return outcome
    assert isinstance(outcome, Refusal)
    return "; ".join(str(problem) for problem in outcome.problems)


@pytest.mark.parametrize(
    ("name", "view", "body", "summary"),
    [
        ("freeze", CELLS, {}, "FREEZE"),
        ("resume", FREEZE, {}, "resume: what waits goes out"),
        ("cell", CELLS, {"cell": 1, "state": "QUARANTINED"}, "ACTIVE → QUARANTINED"),
        ("cell", CELLS, {"cell": 1, "state": "CORDONED"}, "ACTIVE → CORDONED"),
        ("release", view_of(11, before=CELLS, **{f"{HELD}__edge": STOPPED}), {"id": "0a1b2c3d"}, "0a1b2c3d"),
        (
            "release",
            view_of(11, before=CELLS, **{f"{REJECTED}__edge/cluster/cell-2": body_of("edge", HELD_VERSION)}),
            {"id": hold_id("edge", HELD_VERSION.key)},
            "edge/cluster/cell-2",
        ),
        ("rollback", AFTER, {"id": PUSH.id}, "weight"),
    ],
)  # fmt: skip
def test_each_action_is_planned(name: str, view: View, body: dict[str, Any], summary: str) -> None:
    found = planned(name, view, **body)
    assert isinstance(found, Plan), found
    assert any(summary in line for line in found.summary), found.summary


@pytest.mark.parametrize(
    ("name", "view", "body", "words"),
    [
        ("resume", CELLS, {}, "not frozen"),
        ("wave", CELLS, {"id": "0a1b2c3d", "word": "halt"}, "there is no wave"),
        ("release", CELLS, {"id": "0a1b2c3d"}, "nothing is held by the id '0a1b2c3d'"),
        ("cell", CELLS, {"cell": 9, "state": "CORDONED"}, "9"),
        ("cell", view_of(10, cell(1)), {"cell": 1, "state": "CORDONED"}, "no other cell"),
    ],
)
def test_an_action_is_refused_by_the_rules_of_every_change(
    name: str, view: View, body: dict[str, Any], words: str
) -> None:
    found = planned(name, view, **body)
    assert isinstance(found, str)
    assert words in found


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("drain", {}, "there is no action 'drain': use one of freeze"),
        ("release", {}, "id: is missing"),
        ("rollback", {"id": 7}, "id: is missing"),
        ("wave", {"id": "0a1b2c3d"}, "word: is missing"),
        ("rollback", {"id": "ffffffff"}, "no push ffffffff"),
        ("cell", {"state": "CORDONED"}, "cell: is missing"),
        ("cell", {"cell": True, "state": "CORDONED"}, "cell: is missing"),
        ("cell", {"cell": 1}, "state: is missing"),
        ("cell", {"cell": 1, "state": "DECOMMISSIONED"}, "is not for the console"),
    ],
)
def test_what_is_no_action(name: str, body: dict[str, Any], words: str) -> None:
    with pytest.raises(Failure, match=words):
        planned(name, CELLS, **body)


@pytest.mark.parametrize("name", ACTIONS)
def test_nothing_is_done_without_a_reason(name: str) -> None:
    with pytest.raises(Failure, match="reason: is empty"):
        step_of(name, {}, replace(STAMP, reason="  "), cast("PushHistory", History()))
