"""The changes that the demo makes, planned as everybody's are: cells, their moves, rules.

The tour hands them to the stage, which commits them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cellplane.demo.stub_cell import StubCell
from topology.model import Cell, CellState, Endpoint, Stamp
from topology.planning import Outcome, plan_add, plan_document, plan_set_state
from topology.view import View

Planned = Callable[[View], Outcome]
UP = (CellState.CANARY, CellState.ACTIVE)
PATHS = {"/acme": 3, "/globex": 2}
RULES: dict[str, Any] = {
    "schema": 1,
    "rules": [
        {
            "name": "override",
            "type": "override",
            "header": "x-cellplane-override",
            "networks": ["127.0.0.0/8"],
            "identities": [],
        },
        {"name": "path", "type": "path_prefix", "prefixes": PATHS},
        {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"},
        {"name": "default", "type": "default"},
    ],
}


def stamp(reason: str = "demo") -> Stamp:
    """Return the stamp of a change made now."""
    return Stamp(updated_by="demo", updated_at=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason)


def added(stub: StubCell) -> Planned:
    """Plan a cell that answers where a stub does."""
    cell = Cell(
        id=stub.cell_id,
        name=f"demo-{stub.cell_id}",
        state=CellState.PROVISIONING,
        endpoints=(Endpoint(host=stub.host, port=stub.port, zone="a"),),
        stamp=stamp("new cell"),
    )
    return partial(plan_add, cell=cell)


def moved(cell_id: int, state: CellState, reason: str = "demo", over_seconds: int | None = None) -> Planned:
    """Plan a move to another state; a drain takes `over_seconds`."""
    return lambda view: plan_set_state(view, cell_id, state, stamp(reason), over_seconds=over_seconds)


def ruled(view: View) -> Outcome:
    """Plan the demo's rules."""
    return plan_document(view, "rules", "current", RULES, stamp("demo rules"))
