"""Cells on our own wire, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pb.cellplane.topology.v1 import cells_pb2
from tests.topology.samples import CELL_4, LATER, STAMP, cell
from topology.model import CellState, Endpoint
from topology.service.cells_wire import (
    cell_message,
    changed_cell,
    new_cell,
    seconds_of,
    state_number,
    state_of,
)
from topology.service.failure import Failure


@pytest.mark.parametrize("state", list(CellState))
def test_every_state_has_a_number(state: CellState) -> None:
    assert state_of(state_number(state), "state") is state


def test_no_state_and_unknown_states() -> None:
    assert state_of(0, "state") is None
    assert state_number(None) == 0
    with pytest.raises(Failure, match="state: 99 is no state that this version knows"):
        state_of(99, "state")


def test_a_cell_is_spelled_whole() -> None:
    message = cell_message(CELL_4, 77)
    assert message == cells_pb2.Cell(
        id=4,
        name="cell-4",
        state=cells_pb2.CELL_STATE_ACTIVE,
        addresses={"web": "https://cell-4.example.com", "ssh": "ssh-4.example.com:22"},
        endpoints=[
            cells_pb2.Endpoint(host="10.0.0.4", port=8080, zone="eu-1a", weight=3),
            cells_pb2.Endpoint(host="fd00::4", port=8443, weight=1),
        ],
        http2=True,
        session_prefix="cell-4",
        sequence_ranges=[cells_pb2.SequenceRange(minval=1000, maxval=1999)],
        capacity=500,
        weight=70,
        ring=1,
        region="eu",
        epoch=2,
        updated_by="ada",
        updated_at=Timestamp(seconds=1772366400),
        reason="first light",
        revision=77,
    )
    drained = cell_message(cell(5, CellState.DRAINING), 1).drain
    assert (drained.started_at.seconds, drained.over.seconds) == (1772366400, 100)
    assert cell_message(cell(5, CellState.QUARANTINED), 1).previous_state == cells_pb2.CELL_STATE_ACTIVE


def test_a_new_cell_is_filled_up() -> None:
    message = cells_pb2.Cell(id=5, endpoints=[cells_pb2.Endpoint(host="10.0.0.5", port=80)])
    found = new_cell(message, STAMP)
    assert found == cell(5, CellState.PROVISIONING, endpoints=(Endpoint(host="10.0.0.5", port=80, weight=1),))
    assert (found.weight, found.session_prefix, found.name) == (100, "cell-5", "cell-5")
    message.weight = 0
    message.endpoints[0].weight = 0
    found = new_cell(message, STAMP)
    assert (found.weight, found.endpoints[0].weight) == (0, 0)


def test_a_changed_cell_keeps_what_only_the_service_says() -> None:
    before = replace(CELL_4, session_prefix="four")
    message = cell_message(before, 77)
    assert changed_cell(message, before, LATER) == replace(before, stamp=LATER)
    for name in ("state", "session_prefix", "weight", "epoch", "drain"):
        message.ClearField(name)
    assert changed_cell(message, before, LATER) == replace(before, stamp=LATER)
    message.weight = 5
    message.name = "other"
    assert changed_cell(message, before, LATER) == replace(before, weight=5, name="other", stamp=LATER)


def test_durations_are_whole_seconds() -> None:
    assert seconds_of(Duration(seconds=90), "over") == 90
    with pytest.raises(Failure, match=r"over: 0.5 s is not a whole number of seconds"):
        seconds_of(Duration(nanos=500_000_000), "over")
    with pytest.raises(Failure, match="over: is no duration"):
        seconds_of(Duration(seconds=10**15), "over")
