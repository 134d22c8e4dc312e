"""`cellplane cells update`: what a cell is, other than its state and weight; only the options given change.

The cell is read, changed, and written whole if nobody wrote it meanwhile; `cells` holds the other commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import click

from cellplane.cell_input import InputError, address, endpoint, sequence
from cellplane.cli.cells_add import SHORT_SEQUENCES
from cellplane.cli.changes import cells_change, change_options, commit, expect_option
from cellplane.cli.outcome import Exit, fail, output_option
from cellplane.cli.ranges import CELL_ID, COUNT, RING
from cellplane.cli.reading import read_cell
from cellplane.cli.service import ServiceSettings, service_options
from pb.cellplane.topology.v1 import cells_pb2
from topology.model import Cell, Endpoint, SequenceRange
from topology.service.cells_wire import cell_message, stored_cell


@click.command("update")
@click.argument("cell_id", type=CELL_ID, metavar="ID")
@service_options
@click.option("--name", help="For people.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="HOST:PORT[,zone=Z][,weight=W]",
    help="Where it answers; repeatable. Those given replace all.",
)
@click.option(
    "--http2/--no-http2", default=None, help="Whether its endpoints speak HTTP/2 without TLS (h2c)."
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="PROTOCOL=ADDRESS",
    help="As users see it; repeatable. Those given replace all.",
)
@click.option(
    "--sequence", "sequences", multiple=True, metavar="MIN-MAX", help="More ids that it may hand out."
)
@click.option("--capacity", type=COUNT, help="Customers that fit; 0 for no limit.")
@click.option("--ring", type=RING, help="Its deployment ring.")
@click.option("--region", help="Its region.")
@click.option("--force", is_flag=True, help=SHORT_SEQUENCES)
@expect_option
@change_options
@output_option
def update_cell(
    cell_id: int,
    service: ServiceSettings,
    force: bool,
    expect_revision: int | None,
    reason: str,
    dry_run: bool,
    output: str,
    **given: Any,
) -> None:
    """Change a cell's endpoints, addresses, ids and description. State and weight have commands of their own.

    \b
      cellplane cells update 4 --endpoint 10.0.4.1:8080,zone=a --endpoint 10.0.4.9:8080,zone=b --reason "new
      host"
    """  # noqa: D301  click wants the character itself
    try:
        changes = _changes(given)
    except InputError as error:
        fail(Exit.USAGE, f"{error}\nNothing was changed.")
    if not changes:
        fail(Exit.USAGE, "nothing to change was given; see `cellplane cells update --help`.")

    seen = read_cell(service, cell_id)
    cell = stored_cell(seen)
    after = replace(cell, **{name: change(cell) for name, change in changes.items()})
    request = cells_pb2.UpdateCellRequest(
        cell=cell_message(after, 0),
        reason=reason,
        expected_revision=expect_revision or seen.revision,
        force=force,
    )
    commit(service, cells_change(cells_pb2.CellChange(update=request)), dry_run=dry_run, output=output)


def _changes(given: Mapping[str, Any]) -> dict[str, Callable[[Cell], Any]]:
    """Read what was given; each change makes a field's new value of the cell as it is."""
    found: dict[str, Callable[[Cell], Any]] = {}
    for name in ("name", "http2", "capacity", "ring", "region"):
        if (value := given[name]) is not None:
            found[name] = partial(_instead, value)
    if given["endpoints"]:
        endpoints = tuple(Endpoint(**endpoint(text)) for text in given["endpoints"])
        found["endpoints"] = lambda _: endpoints
    if given["addresses"]:
        addresses = dict(address(text) for text in given["addresses"])
        found["addresses"] = lambda _: addresses
    if given["sequences"]:
        more = tuple(SequenceRange(**sequence(text)) for text in given["sequences"])
        found["sequence_ranges"] = lambda cell: cell.sequence_ranges + more
    return found


def _instead(value: Any, _: Cell) -> Any:
    return value
