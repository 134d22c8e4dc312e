"""`cellplane cells`: list, show, add, move through states, weigh and remove cells.

Every command is a call of the Topology Service, which plans what it changes.
"""

from __future__ import annotations

import click

from cellplane.cli.cells_add import add_cell
from cellplane.cli.cells_drain import cordon, drain, quarantine, start_drain, undrain
from cellplane.cli.cells_update import update_cell
from cellplane.cli.changes import cells_change, change_options, commit, expect_option, yes_option
from cellplane.cli.outcome import (
    Exit,
    fail,
    output_option,
    print_fields,
    print_json,
    print_table,
    warn,
)
from cellplane.cli.ranges import CELL_ID, WEIGHT
from cellplane.cli.reading import read_cell, read_cells
from cellplane.cli.service import MENDING, ServiceSettings, service_options
from cellplane.cli.transitions import transition
from cellplane.views import CELL_COLUMNS, CELLS_MAY_DROP, cell_fields, cell_json, cell_rows, view_json
from pb.cellplane.topology.v1 import cells_pb2
from topology.model import CellState
from topology.service.cells_wire import stored_cell

# Moves after which somebody is served less than before.
_ASKS_FIRST = {CellState.CORDONED, CellState.DRAINED, CellState.DECOMMISSIONED, CellState.QUARANTINED}


force_option = click.option(
    "--force", is_flag=True, help="Also where no other cell would take over; never past the lifecycle."
)


@click.group()
def cells() -> None:
    """Cells: what is there, in which state, with which weight."""


cells.add_command(add_cell)
cells.add_command(update_cell)
cells.add_command(drain)
cells.add_command(undrain)
cells.add_command(quarantine)
cells.add_command(cordon)


@cells.command("list")
@service_options
@output_option
def list_cells(service: ServiceSettings, output: str) -> None:
    """List cells, and records that are quarantined because they cannot be read.

    Where the service does not reach etcd it tells what it knows, and that is marked stale.
    """
    document = view_json(read_cells(service))
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
        warn(MENDING)


@cells.command("get")
@click.argument("cell_id", type=CELL_ID, metavar="ID")
@service_options
@output_option
def get_cell(cell_id: int, service: ServiceSettings, output: str) -> None:
    """Show one cell, the revision that guards it, and where it may go from here."""
    message = read_cell(service, cell_id)
    cell = cell_json(stored_cell(message), message.revision)
    if output == "json":
        print_json(cell)
        return
    print_fields(cell_fields(cell))


@cells.command("set-state")
@click.argument("cell_id", type=CELL_ID, metavar="ID")
@click.argument(
    "state", type=click.Choice([state.value for state in CellState], case_sensitive=False), metavar="STATE"
)
@service_options
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
    service: ServiceSettings,
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
    serving state. A move that is not allowed is refused with those that are. DRAINING does what
    `cells drain --no-wait` does.
    """
    target = CellState(state.upper())
    if target is CellState.DRAINING:
        start_drain(
            service,
            cell_id,
            over,
            expect_revision or 0,
            force=force,
            reason=reason,
            dry_run=dry_run,
            yes=yes,
            output=output,
        )
        return
    if over is not None:
        fail(Exit.USAGE, f"--over is a drain's: {target} is reached at once.")
    transition(
        service,
        cell_id,
        target,
        reason,
        dry_run=dry_run,
        output=output,
        ask=f"Move cell {cell_id} to {target}?" if target in _ASKS_FIRST else "",
        yes=yes,
        expect_revision=expect_revision,
        force=force,
    )


@cells.command("set-weight", context_settings={"ignore_unknown_options": True})
@click.argument("cell_id", type=CELL_ID, metavar="ID")
@click.argument("weight", type=WEIGHT)
@service_options
@expect_option
@force_option
@change_options
@output_option
def set_weight(
    cell_id: int,
    weight: int,
    service: ServiceSettings,
    expect_revision: int | None,
    force: bool,
    reason: str,
    dry_run: bool,
    output: str,
) -> None:
    """Set a cell's share of the traffic that nobody owns. Owned traffic never moves by a weight."""
    request = cells_pb2.SetCellWeightRequest(
        id=cell_id, weight=weight, reason=reason, expected_revision=expect_revision or 0, force=force
    )
    commit(service, cells_change(cells_pb2.CellChange(set_weight=request)), dry_run=dry_run, output=output)


@cells.command("remove")
@click.argument("cell_ids", type=CELL_ID, nargs=-1, required=True, metavar="ID...")
@service_options
@click.option("--force", is_flag=True, help="Also where no serving cell would be left.")
@change_options
@yes_option
@output_option
def remove_cells(
    cell_ids: tuple[int, ...],
    service: ServiceSettings,
    force: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Remove cells that are DECOMMISSIONED or still PROVISIONING. Their ids are never used again."""
    names = ", ".join(map(str, cell_ids))
    request = cells_pb2.DeleteCellsRequest(ids=cell_ids, reason=reason, force=force)
    commit(
        service,
        cells_change(cells_pb2.CellChange(delete=request)),
        dry_run=dry_run,
        yes=yes,
        ask=f"Remove cell {names} for good?",
        output=output,
    )
