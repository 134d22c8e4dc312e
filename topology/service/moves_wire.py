"""Moves as messages, and wishes for moves read from them.

The moves service hands them in and out. It decides nothing. Third road: the wish's form.
"""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pb.cellplane.topology.v1 import moves_pb2 as wire
from pb.cellplane.topology.v1 import transfer_pb2
from topology import forms
from topology.model import Stamp
from topology.moves.book import SeenMove
from topology.moves.model import Entry, Move, Step
from topology.service.failure import invalid


def move_message(seen: SeenMove, *, with_history: bool = True) -> wire.Move:
    """Spell a move."""
    move = seen.move
    message = wire.Move(
        id=move.id,
        owners=[transfer_pb2.OwnerAtEpoch(owner=name, expected_epoch=epoch) for name, epoch in move.owners],
        from_cell=move.from_cell,
        to_cell=move.to_cell,
        step=step_number(move.step),
        since=_timestamp(move.since),
        waiting=move.waiting,
        blocked=move.blocked,
        ended=move.ended,
        ask_before=[step_number(step) for step in move.ask_before],
        records=move.records,
        history=[_entry(entry) for entry in move.history] if with_history else (),
        started_by=move.stamp.updated_by,
        started_at=_timestamp(move.stamp.updated_at),
        reason=move.stamp.reason,
        revision=seen.revision,
    )
    if move.window_seconds:
        message.test_window.CopyFrom(Duration(seconds=move.window_seconds))
    return message


def wished(request: wire.StartMoveRequest, stamp: Stamp) -> Move:
    """Read a wish. What is wrong with it `machine.move_problems` says."""
    return Move(
        id=request.request_id.lower(),
        owners=tuple((each.owner, each.expected_epoch) for each in request.owners),
        from_cell=request.from_cell,
        to_cell=request.to_cell,
        window_seconds=request.test_window.ToSeconds(),
        ask_before=tuple(step_of(number) for number in request.ask_before),
        force=request.force,
        since=stamp.updated_at,
        stamp=stamp,
    )


def step_number(step: Step) -> wire.MoveStep.ValueType:
    """Spell a step."""
    return wire.MoveStep.Value(f"MOVE_STEP_{step}")


def step_of(number: int) -> Step:
    """Read a step. Raises Failure where it is none."""
    name = wire.MoveStep.Name(wire.MoveStep.ValueType(number)) if number in wire.MoveStep.values() else ""
    word = name.removeprefix("MOVE_STEP_")
    if word not in Step.__members__:
        raise invalid(f"step: {number} is none that this version knows")
    return Step(word)


def _entry(entry: Entry) -> wire.MoveEntry:
    return wire.MoveEntry(
        at=_timestamp(entry.at),
        step=step_number(entry.step),
        what=entry.what.value.lower(),
        by=entry.by,
        words=entry.words,
    )


def _timestamp(text: str) -> Timestamp:
    message, moment = Timestamp(), forms.parse_utc(text)
    if moment is not None:
        message.FromDatetime(moment)
    return message
