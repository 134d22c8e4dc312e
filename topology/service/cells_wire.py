"""Cells on our own wire: messages to values and back, with what may be left out filled in.

The cells service translates with it. What is wrong with a cell beyond its form, planning says. Stands at both
ends of the third road.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pb.cellplane.topology.v1 import cells_pb2
from topology import forms
from topology.model import Cell, CellState, Drain, Endpoint, SequenceRange, Stamp
from topology.service.failure import invalid

_PREFIX: Final = "CELL_STATE_"


def state_of(number: int, path: str) -> CellState | None:
    """Read a state; None where nothing is said."""
    if number == cells_pb2.CELL_STATE_UNSPECIFIED:
        return None
    if number not in cells_pb2.CellState.values():
        raise invalid(f"{path}: {number} is no state that this version knows")
    name = cells_pb2.CellState.Name(cells_pb2.CellState.ValueType(number))
    return CellState(name.removeprefix(_PREFIX))


def state_number(state: CellState | None) -> cells_pb2.CellState.ValueType:
    """Spell a state."""
    if state is None:
        return cells_pb2.CELL_STATE_UNSPECIFIED
    return cells_pb2.CellState.Value(f"{_PREFIX}{state.value}")


def new_cell(message: cells_pb2.Cell, stamp: Stamp) -> Cell:
    """Read a cell to add: it starts in PROVISIONING."""
    state = state_of(message.state, "cell.state")
    return _cell(message, stamp, state or CellState.PROVISIONING)


def changed_cell(message: cells_pb2.Cell, before: Cell, stamp: Stamp) -> Cell:
    """Read new contents for a cell; what only the service says is taken over from before."""
    cell = _cell(message, stamp, state_of(message.state, "cell.state") or before.state)
    return replace(
        cell,
        session_prefix=message.session_prefix or before.session_prefix,
        weight=cell.weight if message.HasField("weight") else before.weight,
        epoch=before.epoch,
        drain=before.drain,
        previous_state=before.previous_state,
    )


def cell_message(cell: Cell, revision: int) -> cells_pb2.Cell:
    """Spell a cell with the revision at which it was written last."""
    drain = cell.drain
    return cells_pb2.Cell(
        id=cell.id,
        name=cell.name,
        state=state_number(cell.state),
        addresses=dict(cell.addresses),
        endpoints=[
            cells_pb2.Endpoint(host=each.host, port=each.port, zone=each.zone, weight=each.weight)
            for each in cell.endpoints
        ],
        http2=cell.http2,
        session_prefix=cell.session_prefix,
        sequence_ranges=[
            cells_pb2.SequenceRange(minval=each.minval, maxval=each.maxval) for each in cell.sequence_ranges
        ],
        capacity=cell.capacity,
        weight=cell.weight,
        ring=cell.ring,
        region=cell.region,
        epoch=cell.epoch,
        drain=None
        if drain is None
        else cells_pb2.Drain(started_at=timestamp(drain.started_at), over=Duration(seconds=drain.seconds)),
        previous_state=state_number(cell.previous_state),
        updated_by=cell.stamp.updated_by,
        updated_at=timestamp(cell.stamp.updated_at),
        reason=cell.stamp.reason,
        revision=revision,
    )


def stored_cell(message: cells_pb2.Cell) -> Cell:
    """Read a cell that the service gave, with all that only the service says."""
    state = state_of(message.state, "state")
    if state is None:
        raise AssertionError("the service says a state with every cell")
    stamp = Stamp(
        updated_by=message.updated_by, updated_at=message.updated_at.ToJsonString(), reason=message.reason
    )
    drain = None
    if message.HasField("drain"):
        drain = Drain(started_at=message.drain.started_at.ToJsonString(), seconds=message.drain.over.seconds)
    return replace(
        _cell(message, stamp, state),
        epoch=message.epoch,
        drain=drain,
        previous_state=state_of(message.previous_state, "previous_state"),
    )


def seconds_of(message: Duration, path: str) -> int:
    """Read a duration in whole seconds."""
    try:
        length = message.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid(f"{path}: is no duration that can be reckoned with") from None
    seconds, rest = divmod(length, timedelta(seconds=1))
    if rest:
        raise invalid(f"{path}: {length.total_seconds()} s is not a whole number of seconds")
    return seconds


def _cell(message: cells_pb2.Cell, stamp: Stamp, state: CellState) -> Cell:
    return Cell(
        id=message.id,
        name=message.name or f"cell-{message.id}",
        state=state,
        addresses=dict(message.addresses),
        endpoints=tuple(
            Endpoint(
                host=each.host,
                port=each.port,
                zone=each.zone,
                weight=each.weight if each.HasField("weight") else 1,
            )
            for each in message.endpoints
        ),
        http2=message.http2,
        session_prefix=message.session_prefix,
        sequence_ranges=tuple(
            SequenceRange(minval=each.minval, maxval=each.maxval) for each in message.sequence_ranges
        ),
        capacity=message.capacity,
        weight=message.weight if message.HasField("weight") else 100,
        ring=message.ring,
        region=message.region,
        stamp=stamp,
    )


def timestamp(text: str) -> Timestamp:
    """Spell a time that is on record."""
    moment: datetime | None = forms.parse_utc(text)
    if moment is None:
        raise AssertionError(f"{text!r} is on record, and no View lets in what is no time")
    message = Timestamp()
    message.FromDatetime(moment)
    return message
