from __future__ import annotations

from typing import Any

import pytest

from tests.topology.samples import CELL_4, cell
from topology.checks import cell_problems, stamp_problems
from topology.model import CellState, Drain, Endpoint, SequenceRange, Stamp

IP, NAME = "10.0.0.1", "cell.example.com"


def endpoints(*hosts: str, **changes: Any) -> tuple[Endpoint, ...]:
    given: dict[str, Any] = {"port": 80} | changes
    return tuple(Endpoint(host=host, **given) for host in hosts)


def ranges(*ends: tuple[int, int]) -> tuple[SequenceRange, ...]:
    return tuple(SequenceRange(minval=minval, maxval=maxval) for minval, maxval in ends)


@pytest.mark.parametrize("state", CellState)
def test_a_good_cell_has_no_problem_in_any_state(state: CellState) -> None:
    assert cell_problems(cell(1, state)) == ()
    assert cell_problems(CELL_4) == ()


def test_a_cell_of_names_is_good() -> None:
    assert cell_problems(cell(1, endpoints=endpoints(NAME, "other.example.com"))) == ()


@pytest.mark.parametrize(
    ("changes", "field", "word"),
    [
        ({"id": 0}, "id", "use 1 to"),
        ({"id": -1, "session_prefix": "cell-1"}, "id", "use 1 to"),
        ({"id": 2**31}, "id", "use 1 to"),
        ({"name": "No Name"}, "name", "lower-case"),
        ({"session_prefix": "cell_1"}, "session_prefix", "a-z, 0-9"),
        ({"weight": -5}, "weight", "use 0 to 100000"),
        ({"weight": 100_001}, "weight", "use 0 to 100000"),
        ({"capacity": -1}, "capacity", "use 0 to"),
        ({"ring": -1}, "ring", "use 0 to"),
        ({"epoch": 0}, "epoch", "use 1 to"),
        ({"region": "a b"}, "region", "no zone or region"),
        ({"addresses": {"web": "nowhere"}}, "addresses.web", "no port"),
        ({"addresses": {"gopher": "a:70"}}, "addresses.gopher", "use one of web, registry, ssh, kas, pages"),
        ({"endpoints": ()}, "endpoints", "at least one"),
        ({"endpoints": endpoints(IP, "10.0.0.999")}, "endpoints[1].host", "four numbers"),
        ({"endpoints": endpoints(IP, NAME)}, "endpoints[1].host", "all hosts IP addresses, or all DNS names"),
        ({"endpoints": endpoints(NAME, IP)}, "endpoints[1].host", "all hosts IP addresses, or all DNS names"),
        ({"endpoints": endpoints(IP, port=0)}, "endpoints[0].port", "use 1 to 65535"),
        ({"endpoints": endpoints(IP, port=65536)}, "endpoints[0].port", "use 1 to 65535"),
        ({"endpoints": endpoints(IP, zone="a b")}, "endpoints[0].zone", "no zone"),
        ({"endpoints": endpoints(IP, weight=-1)}, "endpoints[0].weight", "use 0 to"),
        ({"endpoints": endpoints(IP, weight=0)}, "endpoints", "more than 0"),
        ({"endpoints": endpoints(IP, IP)}, "endpoints[1]", "repeats endpoints[0]"),
        ({"endpoints": endpoints("fd00::1", "fd00:0::1")}, "endpoints[1]", "repeats endpoints[0]"),
        ({"sequence_ranges": ranges((0, 5))}, "sequence_ranges[0].minval", "start at 1"),
        ({"sequence_ranges": ranges((9, 5))}, "sequence_ranges[0].maxval", "swap"),
        ({"sequence_ranges": ranges((1, 2**57))}, "sequence_ranges[0].maxval", "too high"),
        ({"sequence_ranges": ranges((1, 5), (5, 9))}, "sequence_ranges[1]", "overlaps sequence_ranges[0]"),
        (
            {"drain": Drain(started_at="2026-03-01T12:00:00Z", seconds=1)},
            "drain",
            "no meaning in state ACTIVE",
        ),
        ({"previous_state": CellState.ACTIVE}, "previous_state", "no meaning in state ACTIVE"),
        (
            {"stamp": Stamp(updated_by="", updated_at="2026-03-01T12:00:00Z", reason="")},
            "updated_by",
            "empty",
        ),
    ],
)
def test_each_fault_is_named_with_its_path_and_fix(changes: dict[str, Any], field: str, word: str) -> None:
    (problem,) = cell_problems(cell(1, **changes))
    assert problem.field == field
    assert word in problem.message


@pytest.mark.parametrize(
    ("state", "changes", "field"),
    [
        (CellState.DRAINING, {"drain": None}, "drain"),
        (CellState.DRAINING, {"drain": Drain(started_at="soon", seconds=1)}, "drain.started_at"),
        (
            CellState.DRAINING,
            {"drain": Drain(started_at="2026-03-01T12:00:00Z", seconds=-1)},
            "drain.seconds",
        ),
        (CellState.QUARANTINED, {"previous_state": None}, "previous_state"),
        (CellState.QUARANTINED, {"previous_state": CellState.DRAINED}, "previous_state"),
        (CellState.QUARANTINED, {"previous_state": CellState.DRAINING}, "drain"),
    ],
)
def test_what_goes_with_a_state(state: CellState, changes: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in cell_problems(cell(1, state, **changes))] == [field]


def test_a_cell_quarantined_while_it_drained_keeps_its_drain() -> None:
    drain = Drain(started_at="2026-03-01T12:00:00Z", seconds=60)
    kept = cell(1, CellState.QUARANTINED, previous_state=CellState.DRAINING, drain=drain)
    assert cell_problems(kept) == ()


def test_all_problems_are_told_at_once() -> None:
    broken = cell(1, weight=-1, name="", endpoints=(Endpoint(host="x y", port=0),))
    assert {problem.field for problem in cell_problems(broken)} == {
        "name", "weight", "endpoints[0].host", "endpoints[0].port",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stamp", "fields"),
    [
        (Stamp(updated_by="ada", updated_at="2026-03-01T12:00:00Z", reason=""), []),
        (
            Stamp(updated_by=" ", updated_at="yesterday", reason="a\nb"),
            ["updated_by", "updated_at", "reason"],
        ),
    ],
)
def test_stamps(stamp: Stamp, fields: list[str]) -> None:
    assert [problem.field for problem in stamp_problems(stamp)] == fields
