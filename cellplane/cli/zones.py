"""`cellplane zones`: a zone of a cell evacuated, brought back, and how a cell's traffic is divided.

A zone's endpoints keep their weights on record; its share falls by a document beside the cell, which the
control plane goes by. Every command is a call of the Topology Service.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from cellplane.cell_input import InputError, seconds
from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.drain_counters import LOOK_SECONDS, Counted, admin_option
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.cli.reading import read_cells, read_documents
from cellplane.cli.service import ServiceSettings, service_options
from topology.lifecycle import DRAIN_STEPS
from topology.planning import DEFAULT_DRAIN_SECONDS
from topology.view import View
from topology.zones import DRAINED_ZONES, Drains, at_moment, zone_drains, zone_shares

zone_argument = click.argument("zone", metavar="CELL/ZONE")


@click.group()
def zones() -> None:
    """Evacuate a zone of a cell, whose other zones take over."""


@zones.command("list")
@service_options
@output_option
def list_zones(service: ServiceSettings, output: str) -> None:
    """List the zones of all cells with their part of their cell's traffic, as it is now."""
    view, drains, now = read_cells(service), _drains(service), datetime.now(UTC)
    found: list[dict[str, Any]] = []
    for cell in view.cells.values():
        draining = {each.zone: each for each in drains.get(cell.id, ())}
        at_rest, shares = zone_shares(cell), zone_shares(at_moment(cell, drains.get(cell.id, ()), now))
        found += [
            {
                "cell": cell.id,
                "zone": zone,
                "share": round(shares[zone], 4),
                "share_at_rest": round(at_rest[zone], 4),
                "drained": f"{draining[zone].step(now) * 100 // DRAIN_STEPS} %" if zone in draining else None,
            }
            for zone in shares
        ]
    if output == "json":
        print_json(found)
        return
    rows = [
        (str(each["cell"]), each["zone"] or "-", f"{100 * each['share']:.1f} %", each["drained"] or "-")
        for each in found
    ]
    print_table(("CELL", "ZONE", "SHARE", "DRAINED"), rows, empty="There is no cell.")


@zones.command("drain")
@zone_argument
@click.option("--over", metavar="DURATION", help="How long its share takes to go to zero; 5m if not given.")
@click.option("--force", is_flag=True, help="Also where the rest of the cell can't carry the load.")
@click.option("--wait/--no-wait", default=True, help="Follow it until nothing comes any more.")
@admin_option
@change_options
@yes_option
@service_options
@output_option
def drain_zone(
    zone: str,
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
    """Evacuate a zone of a cell, such as 2/b: its share of the cell's traffic goes to zero over a time.

    All of the cell's traffic stays in the cell. It works where the zone is dead, too.
    """
    try:
        length = DEFAULT_DRAIN_SECONDS if over is None else seconds(over)
    except InputError as error:
        fail(Exit.USAGE, f"--over: {error}")
    body = {"seconds": length, **({"force": True} if force else {})}
    cell_id = _cell_of(zone)
    shares = {} if (cell := read_cells(service).cells.get(cell_id)) is None else zone_shares(cell)
    share = shares.get(zone.partition("/")[2], 0.0)
    commit(
        service,
        document_change(DRAINED_ZONES, zone, body, reason),
        dry_run=dry_run,
        yes=yes,
        ask=f"Evacuate zone {zone}?",
        output=output,
        more={
            "share_of_its_cell": f"{100 * share:.1f} %, to zero over {length} s",
            "undo": f"cellplane zones undrain {zone}",
        },
    )
    if wait and not dry_run and output == "table":
        _follow(service, zone, cell_id, admins)


@zones.command("undrain")
@zone_argument
@change_options
@service_options
@output_option
def undrain_zone(zone: str, reason: str, dry_run: bool, service: ServiceSettings, output: str) -> None:
    """Bring a zone back: its endpoints have the weights that are on record, at once."""
    _cell_of(zone)
    change = document_change(DRAINED_ZONES, zone, None, reason)
    more = {"undo": f"cellplane zones drain {zone}"}
    commit(service, change, dry_run=dry_run, output=output, more=more)


def _follow(service: ServiceSettings, zone: str, cell_id: int, admins: tuple[str, ...]) -> None:
    name, last, seen = zone.partition("/")[2], "", Counted(cell_id, admins)
    while True:
        view, drains, now = read_cells(service), _drains(service), datetime.now(UTC)
        own = next((each for each in drains.get(cell_id, ()) if each.zone == name), None)
        if own is None or cell_id not in view.cells:
            click.echo(f"{zone} is not evacuated any more: somebody called it off.")
            return
        share = zone_shares(at_moment(view.cells[cell_id], drains[cell_id], now)).get(name, 0.0)
        line = f"share of {zone}: {100 * share:.1f} %"
        if line != last:
            click.echo(f"{now:%H:%M:%S}  {line}{seen.since()}")
            last = line
        if own.step(now) == DRAIN_STEPS:
            return
        time.sleep(LOOK_SECONDS)


def _drains(service: ServiceSettings) -> Drains:
    documents: View = read_documents(service, DRAINED_ZONES)
    return zone_drains(documents)


def _cell_of(zone: str) -> int:
    cell_id, _, name = zone.partition("/")
    if not cell_id.isdecimal() or not name:
        fail(Exit.USAGE, f"{zone!r} is no zone of a cell; write CELL/ZONE, for example 2/b.")
    return int(cell_id)
