from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.topology.samples import LATER, cell, retired, view_of
from topology import guards
from topology.lifecycle import Guard
from topology.model import Cell, CellState, Endpoint, Problem, SequenceRange
from topology.store import Compare
from topology.view import Quarantined, QuarantineKind

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ranges(*ends: tuple[int, int]) -> tuple[SequenceRange, ...]:
    return tuple(SequenceRange(minval=minval, maxval=maxval) for minval, maxval in ends)


def kept_out(key: str, record: Cell | None = None) -> dict[str, Quarantined]:
    kind = QuarantineKind.CONTRADICTION if record else QuarantineKind.UNDECODABLE
    kept = Quarantined(
        key=f"/cellplane/v1/{key}",
        kind=kind,
        reason="spoilt",
        create_revision=1,
        mod_revision=2,
        raw=b"",
        record=record,
    )
    return {kept.key: kept}


def told(problems: Any) -> list[tuple[str, str]]:
    return [(problem.field, problem.message) for problem in problems]


def test_an_id_is_used_once() -> None:
    view = view_of(cell(1), retired={2: retired(2)}, quarantined=kept_out("cells/3") | kept_out("retired/4"))
    for cell_id, words in [
        (1, "there already"),
        (2, "removed at 2026-03-01T12:00:00Z by ada"),
        (3, "the record at /cellplane/v1/cells/3 is kept out (spoilt)"),
        (4, "the record at /cellplane/v1/retired/4 is kept out (spoilt)"),
    ]:
        ((field, message),) = told(guards.already_used(view, cell(cell_id)))
        assert field == "id"
        assert words in message
    assert not told(guards.already_used(view, cell(5)))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": "cell-1"}, "name", "cell 1's"),
        ({"session_prefix": "cell-1"}, "session_prefix", "of cell 1"),
        ({"session_prefix": "cell-2"}, "session_prefix", "of removed cell 2"),
        ({"session_prefix": "ghost"}, "session_prefix", "of cell 3"),
        ({"sequence_ranges": ranges((500, 600), (50, 150))}, "sequence_ranges[1]", "of cell 1"),
        ({"sequence_ranges": ranges((250, 300))}, "sequence_ranges[0]", "of removed cell 2"),
        (
            {"endpoints": (Endpoint(host="10.9.9.9", port=1), Endpoint(host="10.0.0.2", port=8080))},
            "endpoints[1]",
            "10.0.0.2 port 8080 is cell 1's",
        ),
    ],
)
def test_nothing_is_shared(changes: dict[str, Any], field: str, words: str) -> None:
    view = view_of(
        cell(1, sequence_ranges=ranges((1, 100))),
        retired={2: retired(2, sequence_ranges=ranges((200, 299)))},
        quarantined=kept_out("cells/3", cell(3, session_prefix="ghost")),
    )
    ((found, message),) = told(guards.shared(view, cell(9, **changes)))
    assert found == field
    assert words in message


def test_a_cell_shares_with_itself() -> None:
    view = view_of(cell(1, sequence_ranges=ranges((1, 100))), quarantined=kept_out("cells/1", cell(1)))
    assert not told(guards.shared(view, cell(1, sequence_ranges=ranges((1, 200)))))
    assert not told(guards.shared(view, cell(9)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": CellState.CORDONED}, "state"),
        ({"previous_state": CellState.ACTIVE}, "previous_state"),
        ({"session_prefix": "other"}, "session_prefix"),
        ({"epoch": 2}, "epoch"),
        ({"sequence_ranges": ()}, "sequence_ranges"),
        ({"sequence_ranges": ranges((1, 99))}, "sequence_ranges"),
        ({"sequence_ranges": ranges((2, 500))}, "sequence_ranges"),
    ],
)
def test_what_an_update_leaves_alone(changes: dict[str, Any], field: str) -> None:
    before = cell(1, epoch=3, sequence_ranges=ranges((1, 100)))
    assert [name for name, _ in told(guards.fixed(before, replace(before, **changes)))] == [field]


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": 3, "name": "new", "epoch": 4, "stamp": LATER},
        {"sequence_ranges": ranges((1, 100), (300, 400))},
        {"sequence_ranges": ranges((1, 200))},
    ],
)
def test_what_an_update_may_change(changes: dict[str, Any]) -> None:
    before = cell(1, epoch=3, sequence_ranges=ranges((1, 100)))
    assert not told(guards.fixed(before, replace(before, **changes)))


def test_a_forbidden_move_names_the_allowed_ones() -> None:
    after_canary = "ACTIVE, CORDONED, DRAINING, QUARANTINED"
    assert told(guards.forbidden(cell(1, CellState.CANARY), CellState.PROVISIONING, None)) == [
        (
            "state",
            "cell 1 does not go from CANARY to PROVISIONING: from CANARY it may go to " + after_canary,
        )
    ]
    assert told(guards.forbidden(cell(1), CellState.ACTIVE, None))[0][1].startswith("cell 1 is there already")
    assert (
        "only be removed"
        in told(guards.forbidden(cell(1, CellState.DECOMMISSIONED), CellState.ACTIVE, None))[0][1]
    )
    quarantined = cell(1, CellState.QUARANTINED, previous_state=CellState.CORDONED)
    assert "may go to CORDONED, DRAINING" in told(guards.forbidden(quarantined, CellState.ACTIVE, None))[0][1]


@pytest.mark.parametrize(
    ("to", "seconds", "words"),
    [
        ("CORDONED", 5, "no meaning on the way to CORDONED"),
        ("DRAINING", -1, "use 0 to"),
        ("DRAINING", 10**9, "use 0 to"),
    ],
)
def test_over_seconds_belongs_to_a_drain(to: str, seconds: int, words: str) -> None:
    ((field, message),) = told(guards.forbidden(cell(1), CellState(to), seconds))
    assert field == "over_seconds"
    assert words in message
    assert not told(guards.forbidden(cell(1), CellState.DRAINING, 0))


@pytest.mark.parametrize(
    ("guard", "other", "met"),
    [
        (Guard.OTHERS_TAKE_UNOWNED, cell(2), True),
        (Guard.OTHERS_TAKE_UNOWNED, cell(2, CellState.CANARY), True),
        (Guard.OTHERS_TAKE_UNOWNED, cell(2, weight=0), False),
        (Guard.OTHERS_TAKE_UNOWNED, cell(2, CellState.CORDONED), False),
        (Guard.OTHERS_TAKE_UNOWNED, cell(2, CellState.DRAINING), False),
        (Guard.OTHERS_SERVE, cell(2, CellState.CORDONED), True),
        (Guard.OTHERS_SERVE, cell(2, CellState.DRAINING), True),
        (Guard.OTHERS_SERVE, cell(2, CellState.QUARANTINED), False),
        (Guard.OTHERS_SERVE, cell(2, CellState.PROVISIONING), False),
    ],
)
def test_guards_that_lean_on_another_cell(guard: Guard, other: Cell, met: bool) -> None:
    view = view_of(cell(1), other)
    problems = told(guards.unmet(view, view.cells[1], (guard,), NOON))
    assert [field for field, _ in problems] == [] if met else ["state"]
    assert all(guard.value.removeprefix("another cell ") in message for _, message in problems)
    assert all("bring one to ACTIVE first, or force it" in message for _, message in problems)
    expected = (Compare("/cellplane/v1/cells/2", 12),) if met else ()
    assert guards.witnesses(view, view.cells[1], (guard,)) == expected


def test_a_cell_that_takes_nothing_needs_no_other() -> None:
    view = view_of(cell(1, weight=0))
    assert not told(guards.unmet(view, view.cells[1], (Guard.OTHERS_TAKE_UNOWNED,), NOON))


def test_two_guards_may_lean_on_one_cell() -> None:
    view = view_of(cell(1), cell(2))
    leans = guards.witnesses(
        view, view.cells[1], (Guard.OTHERS_TAKE_UNOWNED, Guard.OTHERS_SERVE, Guard.RAMP_OVER)
    )
    assert leans == (Compare("/cellplane/v1/cells/2", 12),)


@pytest.mark.parametrize(("second", "left"), [(0, "wait 100 s"), (40, "wait 60 s"), (100, None)])
def test_a_drain_is_not_done_before_its_time(second: int, left: str | None) -> None:
    now = NOON.replace(minute=second // 60, second=second % 60)
    problems = told(guards.unmet(view_of(), cell(1, CellState.DRAINING), (Guard.RAMP_OVER,), now))
    if left is None:
        assert not problems
    else:
        assert left in problems[0][1]
        assert "until 2026-03-01T12:01:40.000000Z" in problems[0][1]


@pytest.mark.parametrize(
    ("view", "weight", "refused"),
    [
        (view_of(cell(1)), 0, True),
        (view_of(cell(1)), 1, False),
        (view_of(cell(1), cell(2)), 0, False),
        (view_of(cell(1), cell(2, CellState.CORDONED)), 0, True),
        (view_of(cell(1, weight=0)), 0, False),
        (view_of(cell(1, CellState.CORDONED)), 0, False),
    ],
)
def test_the_last_weight_is_not_taken_away(view: Any, weight: int, refused: bool) -> None:
    assert [field for field, _ in told(guards.weightless(view, view.cells[1], weight))] == [
        "weight"
    ] * refused


@pytest.mark.parametrize(
    ("state", "road"),
    [
        ("ACTIVE", "through DRAINING → DRAINED → DECOMMISSIONED first"),
        ("DRAINED", "through DECOMMISSIONED first"),
        ("QUARANTINED", "through DRAINING → DRAINED → DECOMMISSIONED first"),
    ],
)
def test_a_cell_is_not_removed_before_its_time(state: str, road: str) -> None:
    view = view_of(cell(1, CellState(state)), cell(2))
    ((field, message),) = told(guards.not_removable(view, [view.cells[1]]))
    assert field == "cells.1.state"
    assert f"a cell in {state} is not removed: take it {road}, or force it" in message


@pytest.mark.parametrize(
    ("view", "ids", "fields"),
    [
        (view_of(cell(1, CellState.PROVISIONING), cell(2)), [1], []),
        (view_of(cell(1, CellState.DECOMMISSIONED), cell(2)), [1], []),
        (view_of(cell(1, CellState.DECOMMISSIONED), cell(2, CellState.PROVISIONING)), [1, 2], ["cells"]),
        (view_of(cell(1), cell(2, CellState.DRAINED)), [1], ["cells.1.state", "cells"]),
        (view_of(cell(1), cell(2)), [1, 2], ["cells.1.state", "cells.2.state", "cells"]),
        (view_of(cell(1)), [], []),
    ],
)
def test_not_everything_goes_at_once(view: Any, ids: list[int], fields: list[str]) -> None:
    found = guards.not_removable(view, [view.cells[cell_id] for cell_id in ids])
    assert [field for field, _ in told(found)] == fields


def test_problems_name_the_fix() -> None:
    view = view_of(cell(1))
    found: list[Problem] = [
        *guards.already_used(view, cell(1)),
        *guards.shared(view, cell(2, name="cell-1")),
        *guards.not_removable(view, [cell(1)]),
    ]
    assert all(":" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("cell_id", "minval", "maxval", "field"),
    [
        (1, 1, 10**12 - 1, None),
        (1, 1, 10**12, "sequence_ranges[0].maxval"),
        (2, 10**12, 10**12 + 10**11 - 1, None),
        (2, 10**12, 10**12 + 10**11 - 2, "sequence_ranges[0]"),
        (2, 10**12 - 1, 10**13, "sequence_ranges[0].minval"),
    ],
)
def test_cell_1_has_the_low_ids_and_others_have_many(
    cell_id: int, minval: int, maxval: int, field: str | None
) -> None:
    ranges = (SequenceRange(minval=minval, maxval=maxval),)
    wanted = cell(cell_id, sequence_ranges=ranges)

    assert [name for name, _ in told(guards.unusual_sequences(wanted))] == ([field] if field else [])
    assert not told(guards.unusual_sequences(wanted, ranges)), "what is there already may stay"
