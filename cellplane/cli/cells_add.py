"""`cellplane cells add`: a cell of options, or all cells of a file, added and led to the state asked for.

Each step is a change as one would make it by hand; `cells` holds the other commands of the group.
"""

from __future__ import annotations

from dataclasses import replace
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
    sequence,
)
from cellplane.cli import reading
from cellplane.cli.changes import cells_change, change_options, commit
from cellplane.cli.outcome import Exit, fail, output_option, print_json
from cellplane.cli.ranges import CELL_ID, COUNT, RING, WEIGHT
from cellplane.cli.service import ServiceSettings, service_options, stamp
from pb.cellplane.topology.v1 import cells_pb2
from topology.lifecycle import road
from topology.model import Cell, CellState
from topology.service.cells_wire import cell_message, state_number

SHORT_SEQUENCES = "Also with sequences that are short, or cell 1's: for a cell that does not live long."


@click.command("add")
@service_options
@click.option("--id", "cell_id", type=CELL_ID, help="From 1, never used before.")
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
@click.option("--capacity", type=COUNT, help="Customers that fit; 0 for no limit.")
@click.option(
    "--weight",
    type=WEIGHT,
    help="Its share of unowned traffic, against the other cells' weights; 100 if not given.",
)
@click.option("--ring", type=RING, help="Its deployment ring.")
@click.option("--region", help="Its region.")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), help="YAML or JSON with one cell, or a list of them."
)
@click.option(
    "--if-absent", is_flag=True, help="Leave a cell that is there already as it is, instead of refusing."
)
@click.option(
    "--mend", is_flag=True, help="Write over the record of this id, which cannot be read and is kept out."
)
@click.option("--force", is_flag=True, help=SHORT_SEQUENCES)
@change_options
@output_option
def add_cell(
    service: ServiceSettings,
    file: Path | None,
    if_absent: bool,
    mend: bool,
    force: bool,
    reason: str,
    dry_run: bool,
    output: str,
    **given: Any,
) -> None:
    """Add a cell, or all cells of a file: all of them, or none if one does not hold.

    A new cell begins in PROVISIONING, reached only by an operator's override. With --state it is led on at
    once, whether or not its endpoints answer already.

    \b
      cellplane cells add --id 4 --endpoint 10.0.4.1:8080,zone=a --endpoint 10.0.4.2:8080,zone=b --reason
      "new region"
    """  # noqa: D301  click wants the character itself
    if file and any(value is not None and value is not False and value != () for value in given.values()):
        fail(Exit.USAGE, "--file says everything about its cells; leave the other options out.")
    try:
        mark = stamp(reason)
        wanted = (
            read_cells(file, mark) if file else (cell_from_mapping(_from_options(given), mark, "cells add"),)
        )
    except InputError as error:
        fail(Exit.REFUSED if file else Exit.USAGE, f"{error}\nNothing was changed.")

    there = reading.read_cells(service).cells if if_absent else {}
    for cell in wanted:
        if cell.id in there:
            click.echo(f"cell {cell.id} is there already, and stays as it is", err=True)
    changes = [
        each for cell in wanted if cell.id not in there for each in _changes(cell, mend=mend, force=force)
    ]
    if changes:
        commit(service, cells_change(*changes), dry_run=dry_run, output=output)
    elif output == "json":
        print_json({"done": False, "revision": None, "changes": []})


def _changes(cell: Cell, *, mend: bool, force: bool) -> list[cells_pb2.CellChange]:
    """Return the changes that bring a cell into being, each as one would make it by hand."""
    because = cell.stamp.reason
    if mend:
        whole = cells_pb2.UpdateCellRequest(cell=cell_message(cell, 0), reason=because)
        return [cells_pb2.CellChange(update=whole)]
    begun = replace(cell, state=CellState.PROVISIONING)
    added = cells_pb2.CreateCellRequest(cell=cell_message(begun, 0), reason=because, force=force)
    moves = [
        cells_pb2.TransitionCellRequest(id=cell.id, state=state_number(to), reason=because)
        for to in road(begun, frozenset({cell.state}))
    ]
    return [
        cells_pb2.CellChange(create=added),
        *(cells_pb2.CellChange(transition=move) for move in moves),
    ]


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
