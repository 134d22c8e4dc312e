"""`cellplane cells`: list, show, add, move through states, weigh and remove cells.

Each command plans its change against the View of this moment and commits it as one transaction; nothing is
written past planning.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import click

from cellplane.cell_input import InputError, seconds
from cellplane.cli.asking import control_plane_option
from cellplane.cli.cells_add import add_cell
from cellplane.cli.cells_update import update_cell
from cellplane.cli.changes import change_options, commit, expect_option, yes_option
from cellplane.cli.connection import etcd_options, stamp, try_store, unreachable
from cellplane.cli.outcome import (
    Exit,
    fail,
    output_option,
    print_fields,
    print_json,
    print_table,
    warn,
)
from cellplane.settings import EtcdSettings
from cellplane.views import CELL_COLUMNS, CELLS_MAY_DROP, cell_fields, cell_rows, view_json
from topology.apply import read_view
from topology.errors import StoreUnavailable
from topology.model import CellState
from topology.planning import plan_remove, plan_set_state, plan_set_weight
from topology.view import View

# Moves after which somebody is served less than before.
_MENDING = (
    "Write a cell's record anew with `cellplane cells add --id ID … --mend`; delete any other key with "
    "`etcdctl del KEY`. A control plane that knew a cell before its record turned bad keeps serving it."
)
_ASKS_FIRST = {CellState.DRAINING, CellState.DRAINED, CellState.DECOMMISSIONED, CellState.QUARANTINED}


force_option = click.option(
    "--force", is_flag=True, help="Also where no other cell would take over; never past the lifecycle."
)


@click.group()
def cells() -> None:
    """Cells: what is there, in which state, with which weight."""


cells.add_command(add_cell)
cells.add_command(update_cell)


@cells.command("list")
@etcd_options
@control_plane_option
@output_option
def list_cells(etcd: EtcdSettings, control_plane: str, output: str) -> None:
    """List cells, and records that are quarantined because they cannot be read.

    Where etcd does not answer, a control plane is asked instead, and what it shows is marked stale.
    """
    document = _view_document(etcd, control_plane)
    if output == "json":
        print_json(document)
        return
    if document["stale"]:
        warn(
            f"STALE: as of revision {document['revision']}; etcd is not reached, so this may be out of date."
        )
    print_table(
        CELL_COLUMNS,
        list(cell_rows(document["cells"])),
        empty="There is no cell yet; see `cellplane cells add --help`.",
        may_drop=CELLS_MAY_DROP,
    )
    if document["quarantined"]:
        click.echo()
        rows = [
            (record["key"], record["kind"], record["reason"], str(record["mod_revision"]))
            for record in document["quarantined"]
        ]
        print_table(("QUARANTINED KEY", "KIND", "REASON", "REVISION"), rows, empty="")
        warn(_MENDING)


@cells.command("get")
@click.argument("cell_id", type=int, metavar="ID")
@etcd_options
@output_option
def get_cell(cell_id: int, etcd: EtcdSettings, output: str) -> None:
    """Show one cell, the revision that guards it, and where it may go from here."""
    view = _read(etcd)
    cell = next((found for found in view_json(view)["cells"] if found["id"] == cell_id), None)
    if cell is None:
        if record := view.quarantined.get(view.keyspace.cell(cell_id)):
            fail(
                Exit.NOT_FOUND,
                f"what etcd holds for cell {cell_id} cannot be read: {record.reason}.",
                _MENDING,
            )
        fail(Exit.NOT_FOUND, f"there is no cell {cell_id}.", "`cellplane cells list` shows those that are.")
    if output == "json":
        print_json(cell)
        return
    print_fields(cell_fields(cell))


@cells.command("set-state")
@click.argument("cell_id", type=int, metavar="ID")
@click.argument(
    "state", type=click.Choice([state.value for state in CellState], case_sensitive=False), metavar="STATE"
)
@etcd_options
@click.option(
    "--over",
    metavar="DURATION",
    help="DRAINING only: how long unowned traffic takes to go to zero; 5m if not given.",
)
@expect_option
@force_option
@change_options
@yes_option
@output_option
def set_state(
    cell_id: int,
    state: str,
    etcd: EtcdSettings,
    over: str | None,
    expect_revision: int | None,
    force: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Move a cell to another state.

    PROVISIONING → CANARY → ACTIVE ⇄ CORDONED → DRAINING → DRAINED → DECOMMISSIONED, and QUARANTINED from any
    serving state. A move that is not allowed is refused with those that are.
    """
    target = CellState(state.upper())
    try:
        over_seconds = None if over is None else seconds(over)
    except InputError as error:
        fail(Exit.USAGE, f"--over: {error}")
    commit(
        etcd,
        lambda view: plan_set_state(
            view, cell_id, target, stamp(reason), over_seconds, expect_revision, force=force
        ),
        f"moving cell {cell_id} to {target}",
        dry_run=dry_run,
        yes=yes,
        ask=f"Move cell {cell_id} to {target}?" if target in _ASKS_FIRST else "",
        output=output,
    )


@cells.command("set-weight", context_settings={"ignore_unknown_options": True})
@click.argument("cell_id", type=int, metavar="ID")
@click.argument("weight", type=int)
@etcd_options
@expect_option
@force_option
@change_options
@output_option
def set_weight(
    cell_id: int,
    weight: int,
    etcd: EtcdSettings,
    expect_revision: int | None,
    force: bool,
    reason: str,
    dry_run: bool,
    output: str,
) -> None:
    """Set a cell's share of the traffic that nobody owns. Owned traffic never moves by a weight."""
    commit(
        etcd,
        lambda view: plan_set_weight(view, cell_id, weight, stamp(reason), expect_revision, force=force),
        f"setting the weight of cell {cell_id}",
        dry_run=dry_run,
        output=output,
    )


@cells.command("remove")
@click.argument("cell_ids", type=int, nargs=-1, required=True, metavar="ID...")
@etcd_options
@click.option("--force", is_flag=True, help="Also where no serving cell would be left.")
@change_options
@yes_option
@output_option
def remove_cells(
    cell_ids: tuple[int, ...],
    etcd: EtcdSettings,
    force: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Remove cells that are DECOMMISSIONED or still PROVISIONING. Their ids are never used again."""
    names = ", ".join(map(str, cell_ids))
    commit(
        etcd,
        lambda view: plan_remove(view, cell_ids, stamp(reason), force=force),
        f"removing cell {names}",
        dry_run=dry_run,
        yes=yes,
        ask=f"Remove cell {names} for good?",
        output=output,
    )


def _read(etcd: EtcdSettings) -> View:
    try:
        return try_store(etcd, read_view)
    except StoreUnavailable as error:
        unreachable(etcd, error)


def _view_document(etcd: EtcdSettings, control_plane: str) -> dict[str, Any]:
    try:
        return view_json(try_store(etcd, read_view))
    except StoreUnavailable as error:
        try:
            url = f"{control_plane}/v1/view"
            with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310  the operator's own URL
                document: dict[str, Any] = json.load(response)
        except (urllib.error.URLError, OSError, ValueError):
            unreachable(etcd, error)
        document["stale"] = True
        return document
