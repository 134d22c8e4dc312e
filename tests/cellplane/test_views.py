"""A View for people and programs."""

from __future__ import annotations

import json
from dataclasses import replace

from cellplane.views import CELL_COLUMNS, cell_fields, cell_json, cell_rows, view_json
from tests.cellplane.views import cell, view
from topology.model import CellState
from topology.view import Quarantined, QuarantineKind


def test_a_cell_is_its_record_with_its_revision_and_its_moves() -> None:
    found = cell_json(cell(3), 12)

    assert (found["id"], found["state"], found["mod_revision"]) == (3, "ACTIVE", 12)
    assert found["allowed_moves"] == ["CORDONED", "DRAINING", "QUARANTINED"]
    assert json.loads(json.dumps(found)) == found


def test_a_view_tells_its_revision_and_what_is_kept_out() -> None:
    kept_out = Quarantined(
        key="/cellplane/v1/cells/9",
        kind=QuarantineKind.UNDECODABLE,
        reason="no JSON",
        create_revision=4,
        mod_revision=5,
        raw=b"\xff{",
    )
    found = view_json(replace(view(7, [cell(1)]), quarantined={kept_out.key: kept_out}, stale=True))

    assert (found["revision"], found["stale"], found["cells"][0]["mod_revision"]) == (7, True, 7)
    assert found["quarantined"] == [
        {
            "key": "/cellplane/v1/cells/9",
            "kind": "undecodable",
            "reason": "no JSON",
            "mod_revision": 5,
            "raw": "\ufffd{",
        }
    ]


def test_rows_tell_where_a_cell_stands() -> None:
    states = [CellState.ACTIVE, CellState.DRAINING, CellState.QUARANTINED]
    document = view_json(view(7, [cell(n, state) for n, state in enumerate(states, 1)]))
    rows = [dict(zip(CELL_COLUMNS, row, strict=True)) for row in cell_rows(document["cells"])]

    assert [row["STATE"] for row in rows] == ["ACTIVE", "DRAINING (over 10 s)", "QUARANTINED (was ACTIVE)"]
    assert rows[0]["ZONES"] == "a"
    assert rows[0]["REGION"] == "-"
    assert rows[0]["UPDATED BY"] == "ada"


def test_fields_of_one_cell() -> None:
    fields = cell_fields(cell_json(cell(3, http2=True, addresses={"web": "cell-3.example.com:443"}), 12))

    assert fields["endpoints"] == "10.0.3.1:80 zone a weight 1 (HTTP/2)"
    assert fields["addresses"] == "web=cell-3.example.com:443"
    assert fields["may go to"] == "CORDONED, DRAINING, QUARANTINED"
    assert fields["capacity"] == "not limited"
    assert fields["updated"] == "by ada at 2026-11-22T10:00:00+00:00: test"
