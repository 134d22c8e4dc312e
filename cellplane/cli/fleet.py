"""`cellplane fleet`: what every connected Envoy was sent, has acknowledged, and rejected.

Asks a control plane's status pages, which answer for all replicas; it changes nothing.
"""

from __future__ import annotations

import time
from typing import Any

import click

from cellplane.cli.asking import ask, control_plane_option
from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, warn
from cellplane.fleet_record import WORST_FIRST, NodeRecord
from cellplane.fleet_report import (
    TYPE_COLUMNS,
    Filter,
    age,
    fleet_table,
    holds,
    is_bad,
    left_out,
    rejections,
    replica_lines,
    summary,
    type_rows,
    warnings,
    worst_first,
)

_ROWS = 50


@click.group()
def fleet() -> None:
    """Fleet: the Envoys that are connected, and how far each has come."""


@fleet.command("status")
@click.option("--group", default="", help="Only nodes of this group.")
@click.option("--region", default="", help="Only nodes of this region.")
@click.option(
    "--state", type=click.Choice(WORST_FIRST, case_sensitive=False), help="Only nodes that stand so."
)
@click.option("--type", "kind", default="", help="With --state: nodes of which this type stands so.")
@click.option("--node", default="", help="Only nodes with this in their name.")
@click.option("--all", "everything", is_flag=True, help=f"All rows; otherwise the worst {_ROWS}.")
@control_plane_option
@output_option
def status(
    group: str,
    region: str,
    state: str | None,
    kind: str,
    node: str,
    everything: bool,
    control_plane: str,
    output: str,
) -> None:
    """Say how every node stands, worst first. Ends with 1 where one has rejected something."""
    found, nodes, readiness = _fleet(control_plane)
    chosen = Filter(group=group, region=region, state=state or "", type=kind, node=node)
    shown = worst_first([each for each in nodes if chosen.takes(each)])
    if output == "json":
        body = [each.to_json() for each in shown]
        print_json({**found, "nodes": body, "control_plane": readiness})
    else:
        _show(found, nodes, shown if everything else shown[:_ROWS], readiness)
        if words := left_out(shown if everything else shown[:_ROWS], shown):
            click.echo(words)
    if is_bad(shown):
        raise click.exceptions.Exit(int(Exit.FAILED))


@fleet.command("show")
@click.argument("node_id", metavar="NODE")
@control_plane_option
@output_option
def show(node_id: str, control_plane: str, output: str) -> None:
    """Show one node: what it asked for, was sent, has acknowledged and rejected, in Envoy's own words."""
    _, nodes, _ = _fleet(control_plane)
    node = next((each for each in nodes if each.id == node_id), None)
    if node is None:
        fail(
            Exit.NOT_FOUND,
            f"node {node_id} is not connected to any replica that {control_plane} knows of.",
            "`cellplane fleet status` lists who is.",
        )
    if output == "json":
        print_json(node.to_json())
        return
    now = time.time()
    print_fields(
        {
            "node": node.id,
            "state": node.state,
            "group": node.group,
            "cluster": node.body["cluster"] or "-",
            "locality": "/".join(filter(None, (node.region, node.body["zone"]))) or "-",
            "envoy": node.envoy or "-",
            "replica": node.replica,
            "streams": ", ".join(node.body["streams"]),
            "connected": age(now - node.connected_at),
            "settled": f"revision {node.settled_revision} of {node.target}",
        }
    )
    click.echo()
    print_table(TYPE_COLUMNS, type_rows(node, now), empty="")
    for rejection in rejections(node):
        click.echo(f"rejected {rejection}")
    for hold in holds(node):
        click.echo(f"held {hold}")


def _show(
    found: dict[str, Any], nodes: list[NodeRecord], shown: list[NodeRecord], readiness: dict[str, Any]
) -> None:
    now, revision = time.time(), int(found["revision"] or 0)
    for line in (*summary(nodes, revision), *replica_lines(found["replicas"], revision, now)):
        click.echo(line)
    if found["problem"]:
        warn(f"INCOMPLETE: {found['problem']}.")
    for warning in warnings(readiness):
        warn(warning)
    table = fleet_table(shown, now)
    print_table(table.columns, table.rows, empty="No node matches." if nodes else "", may_drop=table.may_drop)


def _fleet(control_plane: str) -> tuple[dict[str, Any], list[NodeRecord], dict[str, Any]]:
    found, readiness = ask(control_plane, "/v1/fleet/all"), ask(control_plane, "/readyz")
    try:
        nodes = [NodeRecord.of_json(body) for body in found["nodes"]]
    except (KeyError, TypeError, ValueError):
        fail(Exit.UNAVAILABLE, f"what answers at {control_plane} is no control plane of this version.")
    return found, nodes, readiness
