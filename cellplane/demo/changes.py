"""The changes that the demo asks of the Topology Service, as everybody does: cells, their moves, rules.

The tour hands them to the stage, which calls the service.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration

from cellplane.demo.stub_cell import StubCell
from pb.cellplane.topology.v1 import cells_pb2, documents_pb2
from topology.model import CellState
from topology.service.cells_wire import state_number

Wanted: TypeAlias = cells_pb2.CellChange | documents_pb2.PutDocumentRequest
UP = (CellState.CANARY, CellState.ACTIVE)
PATHS = {"/acme": 3, "/globex": 2}
RULES: dict[str, Any] = {
    "schema": 2,
    # Pages of the application's own: /explore is nobody's name.
    "reserved": ["explore"],
    "rules": [
        {
            "name": "override",
            "type": "override",
            "header": "x-cellplane-override",
            "networks": ["127.0.0.0/8"],
            "identities": [],
        },
        {"name": "path", "type": "path_prefix", "prefixes": PATHS},
        {
            "name": "claim",
            "type": "match",
            "match": [{"type": "path", "template": "/:name/*"}],
            "action": {"classify": [{"type": "route", "value": "${name}"}]},
        },
        {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"},
        {"name": "default", "type": "default"},
    ],
}


def added(stub: StubCell) -> Wanted:
    """Ask for a cell that answers where a stub does."""
    cell = cells_pb2.Cell(
        id=stub.cell_id,
        name=f"demo-{stub.cell_id}",
        endpoints=[cells_pb2.Endpoint(host=stub.host, port=stub.port, zone="a")],
    )
    return cells_pb2.CellChange(create=cells_pb2.CreateCellRequest(cell=cell, reason="new cell"))


def moved(cell_id: int, state: CellState, reason: str = "demo", over_seconds: int | None = None) -> Wanted:
    """Ask for a move to another state; a drain takes `over_seconds`."""
    over = None if over_seconds is None else Duration(seconds=over_seconds)
    request = cells_pb2.TransitionCellRequest(id=cell_id, state=state_number(state), reason=reason, over=over)
    return cells_pb2.CellChange(transition=request)


def weighed(cell_id: int, weight: int) -> Wanted:
    """Ask for another weight."""
    return cells_pb2.CellChange(set_weight=cells_pb2.SetCellWeightRequest(id=cell_id, weight=weight))


def removed(cell_id: int) -> Wanted:
    """Ask for the end of a cell."""
    return cells_pb2.CellChange(delete=cells_pb2.DeleteCellsRequest(ids=[cell_id]))


def ruled() -> Wanted:
    """Ask for the demo's rules."""
    return documents_pb2.PutDocumentRequest(
        kind="rules", name="current", body=json.dumps(RULES), reason="demo rules"
    )
