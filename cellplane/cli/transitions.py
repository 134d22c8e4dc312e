"""A cell moved to another state: the one way in which commands ask for it.

`cells set-state`, `drain`, `undrain`, `quarantine` and `cordon` call it. The service plans the move under its
guards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration

from cellplane.cli.changes import cells_change, commit
from cellplane.cli.service import ServiceSettings
from pb.cellplane.topology.v1 import cells_pb2
from topology.model import CellState
from topology.service.cells_wire import state_number


def transition(
    service: ServiceSettings,
    cell_id: int,
    state: CellState,
    reason: str,
    *,
    dry_run: bool,
    output: str,
    ask: str = "",
    yes: bool = True,
    over_seconds: int | None = None,
    expect_revision: int | None = None,
    force: bool = False,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Move a cell, asking first where `ask` is a question. Ends the command where it does not happen."""
    request = cells_pb2.TransitionCellRequest(
        id=cell_id,
        state=state_number(state),
        over=None if over_seconds is None else Duration(seconds=over_seconds),
        reason=reason,
        expected_revision=expect_revision or 0,
        force=force,
    )
    change = cells_change(cells_pb2.CellChange(transition=request))
    commit(service, change, dry_run=dry_run, yes=yes, ask=ask, output=output, more=more)
