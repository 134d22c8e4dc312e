"""Moves as bytes, and bytes that are none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.topology.moves.rig import MOVE, STAMP, wish
from topology.codec import Undecodable
from topology.moves import machine
from topology.moves.codec import decode_move, encode_move
from topology.moves.model import Move, Order, Step

FULL = machine.told(
    machine.blocks(
        machine.begun(
            wish(window_seconds=60, ask_before=(Step.FREEZE,), envoys=3, records=2, zeros=1, hooked=True),
            datetime(2026, 3, 1, 12, tzinfo=UTC),
        ),
        datetime(2026, 3, 1, 12, 1, tzinfo=UTC),
        "first",
        "versions differ",
    ),
    Order.CONTINUE,
    STAMP,
)


@pytest.mark.parametrize("move", [FULL, machine.begun(wish(), datetime(2026, 3, 1, tzinfo=UTC))])
def test_what_is_written_is_read(move: Move) -> None:
    assert decode_move(MOVE, encode_move(move)) == move


def test_it_is_json_that_people_read() -> None:
    body = json.loads(encode_move(FULL))
    assert (body["step"], body["waiting"], body["blocked"]) == ("PREPARE", "versions differ", True)
    assert body["owners"] == [{"owner": "ORGANIZATION/42", "epoch": 1}]
    assert body["history"][0] == {
        "at": "2026-03-01T12:00:00.000000Z", "by": "ada", "step": "PREPARE", "what": "STARTED",
        "words": "room",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "schema: 2 is not read by this version"),
        ({"step": "FLY"}, "step: 'FLY' is none"),
        ({"ask_before": [7]}, "ask_before: 7 is none"),
        ({"owners": []}, "owners: 0 are named"),
        ({"surprise": 1}, "surprise: is no field"),
        ({"history": [{}]}, "at: is missing"),
        ({"said": {"order": "FLY", "by": "", "at": "", "reason": ""}}, "order: 'FLY' is none"),
    ],
)
def test_what_is_no_move_is_named(changes: dict[str, Any], reason: str) -> None:
    value = json.dumps({**json.loads(encode_move(FULL)), **changes}).encode()
    found = decode_move(MOVE, value)
    assert isinstance(found, Undecodable)
    assert reason in found.reason


def test_a_move_at_the_key_of_another_is_none() -> None:
    found = decode_move("another", encode_move(FULL))
    assert found == Undecodable(f"id: move {MOVE} lies at the key of another")
