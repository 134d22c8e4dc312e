"""What becomes of a move: tables of values in and out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.topology.moves.rig import STAMP, wish
from topology.model import Stamp
from topology.moves import machine
from topology.moves.model import MAX_HISTORY, Entry, Happened, Move, Order, Said, Step

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOVE = machine.begun(wish(), NOON)


def at(step: Step, **changes: Any) -> Move:
    return replace(MOVE, step=step, **changes)


def test_a_move_begins_with_who_and_why() -> None:
    assert MOVE.history == (
        Entry(
            at="2026-03-01T12:00:00.000000Z", step=Step.PREPARE, what=Happened.STARTED, by="ada", words="room"
        ),
    )
    assert (MOVE.step, MOVE.since, MOVE.ended) == (Step.PREPARE, "2026-03-01T12:00:00.000000Z", False)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "x"}, "request_id: 'x' is no UUID: send a new one per move"),
        ({"owners": ()}, "owners: 0 are named: name 1 to 40"),
        ({"owners": (("acme", 1),)}, "owners[0].owner: 'acme' is no owner: name one like ORGANIZATION/42"),
        ({"owners": (("USER/1", 0),)}, "owners[0].expected_epoch: 0 is none: epochs begin at 1"),
        ({"owners": (("USER/1", 1), ("USER/1", 1))}, "owners[1].owner: USER/1 is named twice: name it once"),
        ({"from_cell": 0}, "from_cell: 0 is no cell id"),
        ({"to_cell": 1}, "to_cell: 1 is where the owners are: name another"),
        ({"window_seconds": -1}, "test_window: -1 s is out of range"),
        ({"ask_before": (Step.COMMIT,)}, "ask_before: COMMIT is not asked before: use FREEZE or TRANSFER"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_wish_that_cannot_be_right(changes: dict[str, Any], problem: str) -> None:
    (found,) = machine.move_problems(wish(**changes))
    assert str(found).startswith(problem)


def test_a_step_that_is_done_begins_the_next_one_afresh() -> None:
    draining = at(Step.DRAIN, waiting="x", blocked=True, hooked=True, zeros=2, zero_at="y", envoys=3)
    after = machine.stepped(draining, NOON, "first", "nothing is left")
    assert (after.step, after.waiting, after.blocked, after.hooked, after.zeros) == (
        Step.TRANSFER, "", False, False, 0,
    )  # fmt: skip
    assert after.envoys == 3
    assert (after.history[-1].what, after.history[-1].step, after.history[-1].by) == (
        Happened.DONE, Step.DRAIN, "first",
    )  # fmt: skip


def test_the_last_step_ends_it() -> None:
    ended = machine.stepped(at(Step.COMMIT), NOON, "first", "")
    assert ended.ended
    assert [entry.what for entry in ended.history[-2:]] == [Happened.DONE, Happened.ENDED]


def test_a_step_that_is_asked_before_waits_for_a_person() -> None:
    asked = machine.stepped(at(Step.DRAIN, ask_before=(Step.TRANSFER,)), NOON, "first", "")
    assert (asked.step, asked.blocked, asked.waiting) == (Step.TRANSFER, True, "a person's word: continue")


def test_what_is_known_is_not_written_again() -> None:
    waiting = machine.waits(MOVE, "copying")
    assert machine.waits(waiting, "copying") is waiting
    blocked = machine.blocks(MOVE, NOON, "first", "no")
    assert machine.blocks(blocked, NOON, "first", "no") is blocked


def test_zeros_count_in_a_row() -> None:
    once = machine.counted(at(Step.DRAIN), NOON, "first", "")
    assert (once.zeros, once.zero_at) == (1, "2026-03-01T12:00:00.000000Z")
    again = machine.counted(once, NOON, "first", "1 job")
    assert (again.zeros, again.waiting, again.history[-1].what) == (0, "1 job", Happened.NOT_ZERO)
    assert machine.counted(again, NOON, "first", "1 job") == again


@pytest.mark.parametrize(
    ("move", "order", "expected", "problem"),
    [
        (at(Step.TRANSFER), Order.ABORT, None, ""),
        (
            at(Step.PROPAGATE),
            Order.ABORT,
            None,
            "ABORT is not possible at PROPAGATE: switch-back is the way out",
        ),
        (at(Step.TEST), Order.SWITCH_BACK, None, ""),
        (at(Step.COMMIT), Order.SWITCH_BACK, None, "not possible at COMMIT: there is no way out of it"),
        (at(Step.PREPARE), Order.CONTINUE, None, "PREPARE goes on by itself; it waits for nobody"),
        (at(Step.PREPARE, blocked=True), Order.CONTINUE, None, ""),
        (at(Step.TEST), Order.CONTINUE, None, ""),
        (at(Step.TEST), Order.CONTINUE, Step.DRAIN, "the move is at TEST by now, not at DRAIN"),
        (at(Step.ABORTED), Order.ABORT, None, "is ABORTED: nothing can be done about it"),
    ],
)
def test_orders(move: Move, order: Order, expected: Step | None, problem: str) -> None:
    found = machine.order_problem(move, order, expected)
    assert (found is None) == (not problem)
    assert problem in str(found)


def test_an_order_is_noted_and_carried_out_once() -> None:
    told = machine.told(at(Step.DRAIN), Order.ABORT, Stamp(updated_by="bob", updated_at="x", reason="no"))
    assert told.said == Said(order=Order.ABORT, by="bob", at="x", reason="no")
    assert (told.history[-1].what, told.history[-1].words) == (Happened.ORDERED, "ABORT: no")
    after = machine.obeyed(told, NOON, "first")
    assert (after.step, after.said) == (Step.ABORT, None)
    assert machine.obeyed(after, NOON, "first") is after


def test_an_order_that_came_when_the_step_was_over_is_dropped() -> None:
    late = replace(machine.told(at(Step.TRANSFER), Order.ABORT, STAMP), step=Step.PROPAGATE)
    assert (machine.obeyed(late, NOON, "first").step, machine.obeyed(late, NOON, "first").said) == (
        Step.PROPAGATE, None,
    )  # fmt: skip
    assert machine.too_late(late).said is None


def test_the_history_has_an_end_and_keeps_what_was_done() -> None:
    move = machine.stepped(MOVE, NOON, "first", "")
    for number in range(MAX_HISTORY * 2):
        move = machine.blocks(move, NOON, "first", f"no {number}")
    assert len(move.history) == MAX_HISTORY
    assert [entry.what for entry in move.history[:2]] == [Happened.STARTED, Happened.DONE]
    assert move.history[-1].words == f"no {MAX_HISTORY * 2 - 1}"


def test_owners_come_back_at_the_epoch_after() -> None:
    assert machine.owners_at(MOVE, back=False) == (("ORGANIZATION/42", 1),)
    assert machine.owners_at(MOVE, back=True) == (("ORGANIZATION/42", 2),)


def test_how_long_ago() -> None:
    assert machine.since("2026-03-01T11:59:00Z", NOON) == timedelta(minutes=1)
    assert machine.since("", NOON) == timedelta.max
