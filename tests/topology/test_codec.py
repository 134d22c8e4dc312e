from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.samples import CELL_4, CELL_4_JSON, STAMP, cell
from topology.codec import Undecodable, decode, encode, to_json
from topology.keys import CellKey, DepartureKey, DocumentKey, RetiredKey
from topology.model import Cell, CellState, Departure, Document, Drain, Retired, SequenceRange

RETIRED = Retired(
    id=3,
    name="three",
    session_prefix="cell-3",
    sequence_ranges=(SequenceRange(minval=1, maxval=9),),
    stamp=STAMP,
)
RETIRED_JSON = """{
  "id": 3,
  "name": "three",
  "reason": "first light",
  "schema": 1,
  "sequence_ranges": [
    {
      "maxval": 9,
      "minval": 1
    }
  ],
  "session_prefix": "cell-3",
  "updated_at": "2026-03-01T12:00:00Z",
  "updated_by": "ada"
}"""
RULES = Document(
    kind="rules", name="current", body={"schema": 1, "rules": [{"name": "default"}]}, stamp=STAMP
)
RULES_JSON = """{
  "body": {
    "rules": [
      {
        "name": "default"
      }
    ],
    "schema": 1
  },
  "kind": "rules",
  "name": "current",
  "reason": "first light",
  "schema": 1,
  "updated_at": "2026-03-01T12:00:00Z",
  "updated_by": "ada"
}"""


def edited(**changes: Any) -> bytes:
    return json.dumps(json.loads(CELL_4_JSON) | changes).encode()


def reason(value: bytes) -> str:
    found = decode(CellKey(4), value)
    assert isinstance(found, Undecodable)
    return found.reason


def test_records_are_json_for_people() -> None:
    assert encode(CELL_4).decode() == CELL_4_JSON
    assert encode(RETIRED).decode() == RETIRED_JSON
    assert encode(RULES).decode() == RULES_JSON


def test_records_are_read_back() -> None:
    assert decode(CellKey(4), CELL_4_JSON.encode()) == CELL_4
    assert decode(RetiredKey(3), RETIRED_JSON.encode()) == RETIRED
    assert decode(DocumentKey("rules", "current"), RULES_JSON.encode()) == RULES


@pytest.mark.parametrize("state", CellState)
def test_every_state_survives(state: CellState) -> None:
    before = cell(1, state)
    assert decode(CellKey(1), encode(before)) == before
    assert json.loads(encode(before))["state"] == state.name


def test_a_drain_and_the_state_before_a_quarantine_survive() -> None:
    drain = Drain(started_at="2026-03-01T12:00:00Z", seconds=60)
    kept = cell(1, CellState.QUARANTINED, previous_state=CellState.DRAINING, drain=drain)
    written = json.loads(encode(kept))
    assert written["drain"] == {"started_at": "2026-03-01T12:00:00Z", "seconds": 60}
    assert written["previous_state"] == "DRAINING"
    assert decode(CellKey(1), encode(kept)) == kept


def test_letters_stay_what_they_are() -> None:
    said = replace(CELL_4, stamp=replace(STAMP, reason="Größe"))
    assert "Größe".encode() in encode(said)
    assert to_json({"a": "\ud800"}) == b'{\n  "a": "\\ud800"\n}'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema: 2 is not read by this version"),
        ({"id": 5}, "id: 5 lies at the key of cell 4"),
        ({"weight": -1}, "weight: -1 is out of range"),
        ({"weight": "70"}, "weight: is no whole number"),
        ({"wieght": 70}, "wieght: is no field"),
        ({"state": "SLEEPING"}, "state: 'SLEEPING' is no state"),
        ({"addresses": {"web": 5}}, "addresses.web: is no string"),
        ({"endpoints": [{"host": "10.0.0.1", "port": 80, "zone": ""}]}, "endpoints[0].weight: is missing"),
        (
            {"endpoints": [{"host": "h", "port": 80, "zone": "", "weight": 1, "x": 1}]},
            "endpoints[0].x: is no field",
        ),
        ({"sequence_ranges": [{"minval": 1}]}, "sequence_ranges[0].maxval: is missing"),
        ({"drain": {"started_at": "2026-03-01T12:00:00Z"}}, "drain.seconds: is missing"),
        ({"drain": "soon"}, "drain: is no JSON object"),
        ({"previous_state": "NOWHERE"}, "previous_state: 'NOWHERE' is no state"),
        ({"updated_by": ""}, "updated_by: is empty"),
    ],
)
def test_a_bad_cell_is_told_by_its_field(changes: dict[str, Any], words: str) -> None:
    assert words in reason(edited(**changes))


@pytest.mark.parametrize("field", json.loads(CELL_4_JSON))
def test_no_field_is_ever_assumed(field: str) -> None:
    fields = json.loads(CELL_4_JSON)
    del fields[field]
    assert reason(json.dumps(fields).encode()) == f"{field}: is missing: every field must be there"


def test_several_problems_are_told_together() -> None:
    assert reason(edited(weight=-1, ring=-1)).count(";") == 1


def test_bad_tombstones_and_documents() -> None:
    tombstone = json.loads(RETIRED_JSON)
    document = json.loads(RULES_JSON)
    rows: list[tuple[RetiredKey | DocumentKey, dict[str, Any], str]] = [
        (RetiredKey(3), tombstone | {"id": 4}, "lies at the key of cell 3"),
        (RetiredKey(3), tombstone | {"sequence_ranges": [{"minval": 9, "maxval": 1}]}, "swap"),
        (DocumentKey("rules", "current"), document | {"name": "other"}, "lies at the key of rules current"),
        (DocumentKey("rules", "current"), document | {"body": [1]}, "body: is no JSON object"),
        (DocumentKey("rules", "current"), document | {"updated_at": "now"}, "updated_at"),
    ]
    for key, value, words in rows:
        found = decode(key, json.dumps(value).encode())
        assert isinstance(found, Undecodable)
        assert words in found.reason


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(value: bytes) -> None:
    for key in (CellKey(4), RetiredKey(4), DocumentKey("rules", "current")):
        assert isinstance(decode(key, value), Undecodable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(CELL_4_JSON))), JSON)
def test_no_value_in_any_field_makes_it_raise(field: str, value: Any) -> None:
    found = decode(CellKey(4), edited(**{field: value}))
    assert isinstance(found, Undecodable | Cell)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_document_survives(body: dict[str, Any]) -> None:
    document = Document(kind="rules", name="current", body=body, stamp=STAMP)
    assert decode(DocumentKey("rules", "current"), encode(document)) == document


GONE = Departure(owner="ORGANIZATION/42", from_cell=1, to_cell=2, epoch=2, stamp=STAMP)


def test_a_departure_is_read_back() -> None:
    assert decode(DepartureKey("ORGANIZATION/42"), encode(GONE)) == GONE
    assert json.loads(encode(GONE))["from_cell"] == 1


@pytest.mark.parametrize(
    ("departure", "words"),
    [
        (replace(GONE, owner="ORGANIZATION/43"), "owner: ORGANIZATION/43 lies at the key of ORGANIZATION/42"),
        (replace(GONE, from_cell=0), "from_cell: 0 is no cell id: use 1 to 2147483647"),
        (replace(GONE, to_cell=2**31), "to_cell: 2147483648 is no cell id: use 1 to 2147483647"),
        (replace(GONE, epoch=0), "epoch: 0 is none: epochs begin at 1"),
        (replace(GONE, stamp=replace(STAMP, updated_at="noon")), "updated_at: "),
    ],
)
def test_a_bad_departure_is_told_by_its_field(departure: Departure, words: str) -> None:
    found = decode(DepartureKey("ORGANIZATION/42"), encode(departure))
    assert isinstance(found, Undecodable)
    assert found.reason.startswith(words)
