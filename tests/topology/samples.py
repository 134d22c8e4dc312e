"""Records to start from, spelled out once: a test says only what matters to it."""

from __future__ import annotations

from typing import Any

from topology.model import Cell, CellState, Drain, Endpoint, Retired, SequenceRange, Stamp
from topology.store import Record
from topology.view import View

STAMP = Stamp(updated_by="ada", updated_at="2026-03-01T12:00:00Z", reason="first light")
LATER = Stamp(updated_by="bob", updated_at="2026-03-01T13:00:00Z", reason="second thoughts")

CELL_4_JSON = """{
  "addresses": {
    "ssh": "ssh-4.example.com:22",
    "web": "https://cell-4.example.com"
  },
  "capacity": 500,
  "drain": null,
  "endpoints": [
    {
      "host": "10.0.0.4",
      "port": 8080,
      "weight": 3,
      "zone": "eu-1a"
    },
    {
      "host": "fd00::4",
      "port": 8443,
      "weight": 1,
      "zone": ""
    }
  ],
  "epoch": 2,
  "http2": true,
  "id": 4,
  "name": "cell-4",
  "previous_state": null,
  "reason": "first light",
  "region": "eu",
  "ring": 1,
  "schema": 1,
  "sequence_ranges": [
    {
      "maxval": 1999,
      "minval": 1000
    }
  ],
  "session_prefix": "cell-4",
  "state": "ACTIVE",
  "updated_at": "2026-03-01T12:00:00Z",
  "updated_by": "ada",
  "weight": 70
}"""

CELL_4 = Cell(
    id=4,
    name="cell-4",
    state=CellState.ACTIVE,
    addresses={"web": "https://cell-4.example.com", "ssh": "ssh-4.example.com:22"},
    endpoints=(
        Endpoint(host="10.0.0.4", port=8080, zone="eu-1a", weight=3),
        Endpoint(host="fd00::4", port=8443),
    ),
    http2=True,
    session_prefix="cell-4",
    sequence_ranges=(SequenceRange(minval=1000, maxval=1999),),
    capacity=500,
    weight=70,
    ring=1,
    region="eu",
    epoch=2,
    stamp=STAMP,
)


def cell(cell_id: int, state: CellState = CellState.ACTIVE, **changes: Any) -> Cell:
    """Make a good cell of any state; what is named is put over it."""
    fields: dict[str, Any] = {
        "id": cell_id,
        "name": f"cell-{cell_id}",
        "state": state,
        "endpoints": (Endpoint(host=f"10.0.{cell_id // 250}.{cell_id % 250 + 1}", port=8080),),
        "stamp": STAMP,
    }
    if state is CellState.DRAINING:
        fields["drain"] = Drain(started_at="2026-03-01T12:00:00Z", seconds=100)
    if state is CellState.QUARANTINED:
        fields["previous_state"] = CellState.ACTIVE
    return Cell(**(fields | changes))


def record(key: str, value: bytes | str, revision: int, created: int | None = None) -> Record:
    """Make a record last written at a revision."""
    text = value.encode() if isinstance(value, str) else value
    return Record(key, text, revision if created is None else created, revision, 1)


def view_of(*cells: Cell, revision: int = 50, **more: Any) -> View:
    """Make a View that holds these cells, each last written at 10 plus its id."""
    revisions = {f"/cellplane/v1/cells/{each.id}": 10 + each.id for each in cells}
    return View(
        revision=revision,
        cells={each.id: each for each in cells},
        mod_revisions=revisions | {"/cellplane/v1/registry": 7},
        **more,
    )


def retired(cell_id: int, **changes: Any) -> Retired:
    """Make the tombstone of a cell."""
    fields: dict[str, Any] = {
        "id": cell_id,
        "name": f"cell-{cell_id}",
        "session_prefix": f"cell-{cell_id}",
        "sequence_ranges": (),
        "stamp": STAMP,
    }
    return Retired(**(fields | changes))
