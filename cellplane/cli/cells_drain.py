"""`cellplane cells drain`, `undrain`, `quarantine` and `cordon`: a cell taken out of traffic, and back.

Each shows what it means before it asks, and prints how it is undone. A drain is refused by the service where
the rest can't carry the load, and followed until nothing unowned comes any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from cellplane.cell_input import InputError, seconds
from cellplane.cli.changes import change_options, yes_option
from cellplane.cli.drain_counters import LOOK_SECONDS, Counted, admin_option
from cellplane.cli.outcome import Exit, fail, output_option, warn
from cellplane.cli.ranges import CELL_ID
from cellplane.cli.reading import read_cells
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from cellplane.cli.transitions import transition
from cellplane.drain_plan import NAMED, DrainPlan, OwnersLeft, drain_plan
from pb.cellplane.topology.v1 import (
    placement_pb2,
    placement_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from topology.model import Cell, CellState
from topology.view import View

Command = TypeVar("Command", bound=Callable[..., Any])
_BACK: Final = {CellState.DRAINING: CellState.ACTIVE, CellState.DRAINED: CellState.CANARY}

cell_argument = click.argument("cell_id", type=CELL_ID, metavar="ID")


@click.command("drain")
@cell_argument
@click.option(
    "--over", metavar="DURATION", help="How long unowned traffic takes to go to zero; 5m if not given."
)
@click.option("--force", is_flag=True, help="Also where the rest can't carry the load.")
@click.option("--wait/--no-wait", default=True, help="Follow it until nothing unowned comes any more.")
@admin_option
@change_options
@yes_option
@service_options
@output_option
def drain(
    cell_id: int,
    over: str | None,
    force: bool,
    wait: bool,
    admins: tuple[str, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Drain a cell: unowned traffic goes to zero over a time, and it takes no newcomers.

    What it owns is still served, until moves have taken it away: those are listed.
    """
    start_drain(
        service, cell_id, over, 0, force=force, reason=reason, dry_run=dry_run, yes=yes, output=output
    )
    if wait and not dry_run and output == "table":
        follow(service, cell_id, admins)


def start_drain(
    service: ServiceSettings,
    cell_id: int,
    over: str | None,
    expect_revision: int,
    *,
    force: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Begin a drain, however it was asked for."""
    try:
        over_seconds = None if over is None else seconds(over)
    except InputError as error:
        fail(Exit.USAGE, f"--over: {error}")
    view = read_cells(service)
    cell = _cell(view, cell_id)
    plan = _plan(service, view, cell)
    transition(
        service,
        cell_id,
        CellState.DRAINING,
        reason,
        dry_run=dry_run,
        output=output,
        ask=f"Drain cell {cell_id}?",
        yes=yes,
        over_seconds=over_seconds,
        expect_revision=expect_revision,
        force=force,
        more={**plan.told(), "undo": f"cellplane cells undrain {cell_id}"},
    )


def follow(service: ServiceSettings, cell_id: int, admins: tuple[str, ...]) -> None:
    """Tell how a drain goes until nothing unowned comes any more, then who is left."""
    last, seen = "", Counted(cell_id, admins)
    while True:
        view = read_cells(service)
        plan = _plan(service, view, _cell(view, cell_id))
        line = f"unowned share: {100 * plan.share:.1f} %; owners left: {plan.owners.total}"
        if line != last or admins:
            click.echo(f"{datetime.now(UTC):%H:%M:%S}  {line}{seen.since()}")
            last = line
        if view.cells[cell_id].state is not CellState.DRAINING:
            warn(f"Cell {cell_id} is {view.cells[cell_id].state} by now: somebody ended the drain.")
            return
        if plan.share == 0:
            break
        time.sleep(LOOK_SECONDS)
    if plan.owners.total:
        click.echo(f"{plan.owners.total} owners are left; the commands above move them.")
    else:
        click.echo(f"Nothing is left: `cellplane cells set-state {cell_id} DRAINED`.")


@click.command("undrain")
@cell_argument
@change_options
@service_options
@output_option
def undrain(cell_id: int, reason: str, dry_run: bool, service: ServiceSettings, output: str) -> None:
    """Call a drain off: the cell takes its share of unowned traffic and newcomers again."""
    cell = _cell(read_cells(service), cell_id)
    if cell.state not in _BACK:
        fail(Exit.REFUSED, f"cell {cell_id} is {cell.state}: only what drains or is DRAINED is brought back.")
    undo = {"undo": f"cellplane cells drain {cell_id}"}
    transition(service, cell_id, _BACK[cell.state], reason, dry_run=dry_run, output=output, more=undo)


@click.command("quarantine")
@cell_argument
@change_options
@yes_option
@service_options
@output_option
def quarantine(
    cell_id: int, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Answer 503 with Retry-After for a cell, at once and at every edge. Nothing goes elsewhere."""
    cell = _cell(read_cells(service), cell_id)
    transition(
        service,
        cell_id,
        CellState.QUARANTINED,
        reason,
        dry_run=dry_run,
        output=output,
        ask=f"Quarantine cell {cell_id}?",
        yes=yes,
        more={"undo": f"cellplane cells set-state {cell_id} {cell.state}"},
    )


@click.command("cordon")
@cell_argument
@change_options
@yes_option
@service_options
@output_option
def cordon(
    cell_id: int, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Take no newcomers and no unowned traffic in a cell, at once; what it owns is served as before."""
    transition(
        service,
        cell_id,
        CellState.CORDONED,
        reason,
        dry_run=dry_run,
        output=output,
        ask=f"Cordon cell {cell_id}?",
        yes=yes,
        more={"undo": f"cellplane cells set-state {cell_id} ACTIVE"},
    )


def _plan(service: ServiceSettings, view: View, cell: Cell) -> DrainPlan:
    def ask(channel: Any) -> tuple[OwnersLeft, Mapping[int, int]]:
        options: dict[str, Any] = {"timeout": CALL_SECONDS, "metadata": identity()}
        transfers: Any = transfer_pb2_grpc.TransferServiceStub(channel)
        placements: Any = placement_pb2_grpc.PlacementServiceStub(channel)
        request = transfer_pb2.ListOwnersRequest(cell_id=cell.id, limit=NAMED)
        left = transfers.ListOwners(request, **options)
        occupied = placements.GetOccupancy(placement_pb2.GetOccupancyRequest(), **options)
        names = tuple(each.owner for each in left.owners)
        return OwnersLeft(left.total, left.records, names), {
            each.cell_id: each.placed for each in occupied.cells
        }

    owners, placed = call(service, ask)
    return drain_plan(view, cell, owners, placed, datetime.now(UTC))


def _cell(view: View, cell_id: int) -> Cell:
    cell = view.cells.get(cell_id)
    if cell is None:
        fail(Exit.NOT_FOUND, f"there is no cell {cell_id}.", "`cellplane cells list` shows what is there.")
    return cell
