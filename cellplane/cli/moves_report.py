"""Moves for people: a row each, one in full, its plan, and a line for each thing that happened.

The commands print what it makes of the service's messages. Pure: messages in, text out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pb.cellplane.topology.v1 import moves_pb2

COLUMNS: Final = ("ID", "OWNERS", "FROM", "TO", "STEP", "SINCE", "WAITS FOR", "BY")
MAY_DROP: Final = ("BY", "SINCE", "WAITS FOR")
_SHOWN: Final = 8


def step_name(step: moves_pb2.MoveStep.ValueType) -> str:
    """Name a step."""
    return moves_pb2.MoveStep.Name(step).removeprefix("MOVE_STEP_")


def owner_names(move: moves_pb2.Move, most: int = 2) -> str:
    """Name a move's owners, the first of many."""
    names = [each.owner for each in move.owners]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def move_row(move: moves_pb2.Move) -> tuple[str, ...]:
    """Return a table row."""
    return (
        move.id[:_SHOWN],
        owner_names(move),
        str(move.from_cell),
        str(move.to_cell),
        step_name(move.step),
        _clock(move.since.ToJsonString()),
        f"{'A PERSON: ' if move.blocked else ''}{move.waiting}" or "-",
        move.started_by,
    )


def move_fields(move: moves_pb2.Move) -> dict[str, str]:
    """Return one move as fields of text."""
    window = f"{move.test_window.ToSeconds()} s" if move.HasField("test_window") else "until a person goes on"
    return {
        "move": move.id,
        "owners": owner_names(move, most=40),
        "from": f"cell {move.from_cell}",
        "to": f"cell {move.to_cell}",
        "step": f"{step_name(move.step)} since {move.since.ToJsonString()}",
        "waits for": f"{'A PERSON: ' if move.blocked else ''}{move.waiting}" or "-",
        "claims": str(move.records),
        "test": window,
        "asks before": ", ".join(map(step_name, move.ask_before)) or "-",
        "started": f"{move.started_at.ToJsonString()} by {move.started_by}",
        "reason": move.reason or "-",
    }


def entry_line(entry: moves_pb2.MoveEntry) -> str:
    """Say one thing that happened."""
    told = f"{step_name(entry.step)} {entry.what}"
    return f"{_clock(entry.at.ToJsonString())}  {told:<26} {entry.words}  [{entry.by}]"


def plan_lines(planned: moves_pb2.StartMoveResponse) -> Sequence[str]:
    """Say what will be done, and how things stand."""
    lines = list(planned.summary)
    for step in planned.plan:
        hook = f"; {step.hook}" if step.hook else ""
        lines.append(f"{step_name(step.step).lower():<10} {step.does} (until {step.gate}{hook})")
    return lines


def _clock(moment: str) -> str:
    return moment[11:19]
