"""Owners and transfers as bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.topology.claims.samples import LEASE_1, LEASE_2, OTHER, OWNER, owner, transfer
from topology.claims.keys import OwnerKey, TransferKey
from topology.claims.owner_codec import decode_owner, decode_transfer, encode_owner, encode_transfer
from topology.claims.owners import TransferPhase
from topology.codec import Undecodable

OWNER_JSON = """{
  "cell_id": 2,
  "epoch": 2,
  "reason": "a test",
  "schema": 1,
  "subject": {
    "id": 42,
    "type": "NAMESPACE"
  },
  "transfer": "",
  "updated_at": "2026-03-01T12:00:00.000000Z",
  "updated_by": "ADMIN"
}"""
TRANSFER = replace(transfer(TransferPhase.MOVED, (OWNER, 1), (OTHER, 3)), records=12, slots=(7, 255))


def test_an_owner_is_json_for_people() -> None:
    assert encode_owner(owner()).decode() == OWNER_JSON
    assert decode_owner(OwnerKey(OWNER), OWNER_JSON.encode()) == owner()
    held = owner(transfer=LEASE_2)
    assert decode_owner(OwnerKey(OWNER), encode_owner(held)) == held


@pytest.mark.parametrize("phase", TransferPhase)
def test_a_transfer_is_read_back(phase: TransferPhase) -> None:
    kept = replace(TRANSFER, phase=phase)
    assert decode_transfer(TransferKey(LEASE_2), encode_transfer(kept)) == kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema: 2 is not read"),
        ({"epoch": 0}, "epoch: 0 is none: epochs begin at 1"),
        ({"transfer": "x"}, "transfer: 'x' is no UUID"),
        ({"subject": {"type": "ORGANIZATION", "id": 42}}, "subject: ORGANIZATION/42 lies at the key"),
        ({"subject": {"type": "CUSTOMER", "id": 42}}, "subject.type: 'CUSTOMER' is not known"),
        ({"cell_id": "2"}, "cell_id: is no whole number"),
        ({"more": 1}, "more: is no field"),
    ],
)
def test_a_bad_owner_is_told_by_its_field(changes: dict[str, Any], words: str) -> None:
    found = decode_owner(OwnerKey(OWNER), json.dumps(json.loads(OWNER_JSON) | changes).encode())
    assert isinstance(found, Undecodable)
    assert found.reason.startswith(words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": LEASE_1}, f"id: transfer {LEASE_1} lies at the key of {LEASE_2}"),
        ({"phase": "GOING"}, "phase: 'GOING' is none of PREPARING, MOVED, GIVEN_UP, DONE"),
        ({"slots": [16384]}, "slots: 16384 is none: they are 0 to 16383"),
        ({"slots": [True]}, "slots: True is none"),
        ({"owners": [{"subject": {"type": "USER", "id": 1}}]}, "owners[0].epoch: is missing"),
        ({"created_at": "noon"}, "created_at: is no time"),
    ],
)
def test_a_bad_transfer_is_told_by_its_field(changes: dict[str, Any], words: str) -> None:
    found = decode_transfer(
        TransferKey(LEASE_2), json.dumps(json.loads(encode_transfer(TRANSFER)) | changes).encode()
    )
    assert isinstance(found, Undecodable)
    assert found.reason.startswith(words)
