"""`cellplane cells`: list, show, add, move through states, weigh and remove cells.

Each command plans its change against the View of this moment and commits it as one transaction; nothing is
written past planning.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from cellplane.cell_input import (
    BEGINNINGS,
    InputError,
    address,
    cell_from_mapping,
    endpoint,
    read_cells,
    seconds,
    sequence,
)
from cellplane.cli.changes import change_options, commit, yes_option
from cellplane.cli.connection import etcd_options, stamp, try_store, unreachable
from cellplane.cli.outcome import (
    Exit,
    fail,
    output_option,
    print_fields,
    print_json,
    print_table,
    refuse,
    warn,
)
from cellplane.settings import EtcdSettings
from cellplane.views import CELL_COLUMNS, cell_fields, cell_rows, view_json
from topology.apply import read_view
from topology.errors import StoreUnavailable
from topology.lifecycle import road
from topology.model import Cell, CellState, Problem
from topology.planning import plan_add, plan_remove, plan_set_state, plan_set_weight
from topology.view import View

# Moves after which somebody is served less than before.
_ASKS_FIRST = {CellState.DRAINING, CellState.DRAINED, CellState.DECOMMISSIONED, CellState.QUARANTINED}


@click.group()
def cells() -> None:
    """Cells: what is there, in which state, with which weight."""


@cells.command("list")
@etcd_options
@click.option(
    "--status-url",
    default="http://127.0.0.1:18001",
    show_default=True,
    envvar="CELLPLANE_STATUS_URL",
    help="A control plane to ask where etcd does not answer; what it shows is marked stale.",
)
@output_option
def list_cells(etcd: EtcdSettings, status_url: str, output: str) -> None:
    """List cells, and records that are quarantined because they cannot be read."""
    document = _view_document(etcd, status_url)
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
    )
    if document["quarantined"]:
        click.echo()
        rows = [
            (record["key"], record["kind"], record["reason"], str(record["mod_revision"]))
            for record in document["quarantined"]
        ]
        print_table(("QUARANTINED KEY", "KIND", "REASON", "REVISION"), rows, empty="")


@cells.command("get")
@click.argument("cell_id", type=int, metavar="ID")
@etcd_options
@output_option
def get_cell(cell_id: int, etcd: EtcdSettings, output: str) -> None:
    """Show one cell, the revision that guards it, and where it may go from here."""
    view = _read(etcd)
    cell = next((found for found in view_json(view)["cells"] if found["id"] == cell_id), None)
    if cell is None:
        fail(Exit.NOT_FOUND, f"there is no cell {cell_id}.", "`cellplane cells list` shows those that are.")
    if output == "json":
        print_json(cell)
        return
    print_fields(cell_fields(cell))
    if record := view.quarantined.get(view.keyspace.cell(cell_id)):
        warn(f"What etcd holds for it cannot be read ({record.reason}); the last good record keeps serving.")


@cells.command("add")
@etcd_options
@click.option("--id", "cell_id", type=int, help="From 1, never used before.")
@click.option("--name", help="For people; cell-<id> if not given.")
@click.option(
    "--state",
    type=click.Choice(BEGINNINGS),
    help="Where it is led, step by step; PROVISIONING if not given.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="HOST:PORT[,zone=Z][,weight=W]",
    help="Where it answers; repeatable.",
)
@click.option("--http2", is_flag=True, help="Its endpoints speak HTTP/2 without TLS (h2c).")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="PROTOCOL=ADDRESS",
    help="As users see it: web, registry, ssh, kas, pages.",
)
@click.option("--session-prefix", help="What its session cookies begin with; cell-<id> if not given.")
@click.option(
    "--sequence", "sequences", multiple=True, metavar="MIN-MAX", help="Ids that it may hand out; repeatable."
)
@click.option("--capacity", type=int, help="Customers that fit; 0 for no limit.")
@click.option(
    "--weight",
    type=int,
    help="Its share of unowned traffic, against the other cells' weights; 100 if not given.",
)
@click.option("--ring", type=int, help="Its deployment ring.")
@click.option("--region", help="Its region.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), help="YAML or JSON with one cell, or a list of them."
)
@click.option(
    "--if-absent", is_flag=True, help="Leave a cell that is there already as it is, instead of refusing."
)
@change_options
@output_option
def add_cell(
    etcd: EtcdSettings,
    file: Path | None,
    if_absent: bool,
    reason: str,
    dry_run: bool,
    output: str,
    **given: Any,
) -> None:
    r"""Add a cell, or all cells of a file. New cells begin in PROVISIONING, reached only by an operator's
    override.

    \b
      cellplane cells add --id 4 --endpoint 10.0.4.1:8080,zone=a --endpoint 10.0.4.2:8080,zone=b --reason
      "new region"
    """
    try:
        mark = stamp(reason)
        wanted = (
            read_cells(file, mark) if file else (cell_from_mapping(_from_options(given), mark, "cells add"),)
        )
    except InputError as error:
        fail(Exit.REFUSED, f"{error}\nNothing was changed.")
    if file and any(value for value in given.values()):
        fail(Exit.USAGE, "--file says everything about its cells; leave the other options out.")
    for cell in wanted:
        _add_one(etcd, cell, if_absent, dry_run, output)


@cells.command("set-state")
@click.argument("cell_id", type=int, metavar="ID")
@click.argument("state", type=click.Choice([state.value for state in CellState], case_sensitive=False))
@etcd_options
@click.option(
    "--over",
    metavar="DURATION",
    help="DRAINING only: how long unowned traffic takes to go to zero; 5m if not given.",
)
@click.option(
    "--expect-revision",
    type=int,
    help="Refuse unless the cell is still at this revision (`cells get` shows it).",
)
@change_options
@yes_option
@output_option
def set_state(
    cell_id: int,
    state: str,
    etcd: EtcdSettings,
    over: str | None,
    expect_revision: int | None,
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
            view, cell_id, target, stamp(reason), over_seconds=over_seconds, expected_revision=expect_revision
        ),
        f"moving cell {cell_id} to {target}",
        dry_run=dry_run,
        yes=yes,
        ask=f"Move cell {cell_id} to {target}?" if target in _ASKS_FIRST else "",
        output=output,
    )


@cells.command("set-weight")
@click.argument("cell_id", type=int, metavar="ID")
@click.argument("weight", type=int)
@etcd_options
@click.option(
    "--expect-revision",
    type=int,
    help="Refuse unless the cell is still at this revision (`cells get` shows it).",
)
@change_options
@output_option
def set_weight(
    cell_id: int,
    weight: int,
    etcd: EtcdSettings,
    expect_revision: int | None,
    reason: str,
    dry_run: bool,
    output: str,
) -> None:
    """Set a cell's share of the traffic that nobody owns. Owned traffic never moves by a weight."""
    commit(
        etcd,
        lambda view: plan_set_weight(view, cell_id, weight, stamp(reason), expected_revision=expect_revision),
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


def _add_one(etcd: EtcdSettings, cell: Cell, if_absent: bool, dry_run: bool, output: str) -> None:
    """Add one cell and walk it to the state that was asked for: each step a change of its own, as by hand."""
    begun = replace(cell, state=CellState.PROVISIONING)
    steps = road(begun, frozenset({cell.state}))
    if if_absent and cell.id in _read(etcd).cells:
        click.echo(f"cell {cell.id} is there already, and stays as it is", err=output == "json")
        return
    commit(etcd, lambda view: plan_add(view, begun), f"adding cell {cell.id}", dry_run=dry_run, output=output)
    if dry_run:
        return
    for state in steps:
        commit(
            etcd,
            partial(plan_set_state, cell_id=cell.id, to=state, stamp=cell.stamp),
            f"moving cell {cell.id} to {state}",
            dry_run=False,
            output=output,
        )


def _from_options(given: dict[str, Any]) -> dict[str, Any]:
    if given["cell_id"] is None:
        raise InputError("--id: which id shall the new cell have? Give a number from 1, or a --file.")
    if not given["endpoints"]:
        raise InputError("--endpoint: where does the cell answer? Give HOST:PORT at least once.")
    plain = ("name", "state", "session_prefix", "capacity", "weight", "ring", "region")
    return {
        "id": given["cell_id"],
        **{name: given[name] for name in plain if given[name] is not None},
        "http2": given["http2"],
        "endpoints": [endpoint(text) for text in given["endpoints"]],
        "addresses": dict(address(text) for text in given["addresses"]),
        "sequence_ranges": [sequence(text) for text in given["sequences"]],
    }


def _read(etcd: EtcdSettings) -> View:
    try:
        return try_store(etcd, read_view)
    except StoreUnavailable as error:
        unreachable(etcd, error)


def _view_document(etcd: EtcdSettings, status_url: str) -> dict[str, Any]:
    try:
        return view_json(try_store(etcd, read_view))
    except StoreUnavailable as error:
        try:
            url = f"{status_url}/v1/view"
            with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310  the operator's own URL
                document: dict[str, Any] = json.load(response)
        except (urllib.error.URLError, OSError, ValueError):
            unreachable(etcd, error)
        document["stale"] = True
        return document
