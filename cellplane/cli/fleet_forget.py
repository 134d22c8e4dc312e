"""`cellplane fleet forget`: a sidecar that is stopped for good, so that no transfer waits for it any more.

Asks a control plane whether it is connected after all, and has a document written through the Topology
Service, which the gate before transfers reads.
"""

from __future__ import annotations

import click

from cellplane.cli.asking import ask, control_plane_option
from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option
from cellplane.cli.ranges import CELL_ID
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.fleet_record import NodeRecord
from topology.sidecars import FORGOTTEN, forgotten_name


@click.command("forget")
@click.argument("node")
@click.option("--cell", "cell_id", type=CELL_ID, required=True, help="The cell that it was in.")
@control_plane_option
@change_options
@yes_option
@service_options
@output_option
def forget(
    node: str,
    cell_id: int,
    control_plane: str,
    reason: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Wait for a sidecar no more, because it is stopped for good. One that connects again counts again.

    A sidecar that only can't reach its control plane may go on taking writes for owners that have left: be
    sure that it is stopped.
    """
    nodes = [NodeRecord.of_json(each) for each in ask(control_plane, "/v1/fleet/all")["nodes"]]
    if any(each.id == node for each in nodes):
        fail(Exit.REFUSED, f"{node} is connected: stop it first.", "`cellplane fleet show` shows it.")
    change = document_change(FORGOTTEN, forgotten_name(cell_id, node), {}, reason)
    question = f"Is {node} of cell {cell_id} stopped for good? If not, it may take writes that are lost."
    commit(service, change, dry_run=dry_run, yes=yes, ask=question, output=output)
