"""The table of steps: everything is in it, and every way leads to an end."""

from __future__ import annotations

from topology.moves.model import ENDS, Order, Step
from topology.moves.steps import FORWARD, LEAVES_TO, ROWS, STEPS


def test_every_step_but_the_ends_has_a_row() -> None:
    assert {row.step for row in STEPS} == set(Step) - ENDS
    assert FORWARD == (
        Step.PREPARE, Step.FREEZE, Step.DRAIN, Step.TRANSFER, Step.PROPAGATE, Step.TEST, Step.COMMIT,
    )  # fmt: skip


def test_every_way_leads_to_an_end_of_its_own() -> None:
    ends = {}
    for start in (Step.PREPARE, *LEAVES_TO.values()):
        step, seen = start, set[Step]()
        while step not in ENDS:
            assert step not in seen
            seen.add(step)
            step = ROWS[step].after
        ends[start] = step
    assert set(ends.values()) == ENDS


def test_what_has_moved_is_not_aborted() -> None:
    moved = FORWARD.index(Step.TRANSFER)
    assert all(ROWS[step].leave is Order.ABORT for step in FORWARD[: moved + 1])
    assert [ROWS[step].leave for step in FORWARD[moved + 1 :]] == [Order.SWITCH_BACK, Order.SWITCH_BACK, None]
