"""`cellplane fleet`: what every connected Envoy was sent, has acknowledged, and rejected.

Asks a control plane's status pages, which answer for all replicas; it changes nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote

import click

from cellplane.cli.asking import ask, control_plane_option, dump_of, listen
from cellplane.cli.late import Late, late_group
from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, warn
from cellplane.fleet_diff import COLUMNS, differences, has_of
from cellplane.fleet_record import TYPES, WORST_FIRST, NodeRecord
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
    unacknowledged,
    warnings,
    worst_first,
)
from cellplane.push_report import blame

_ROWS = 50
_REASONS_TO_LOOK = frozenset({"push", "outcome", "fleet", "frozen", "resumed", "held", "released"})


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose nodes; the command receives them as one argument `chosen`."""

    @functools.wraps(command)
    def with_filter(**arguments: Any) -> None:
        chosen = Filter(
            **{each: arguments.pop(each) or "" for each in ("group", "region", "state", "type", "node")}
        )
        command(chosen=chosen, **arguments)

    states, types = (click.Choice(words, case_sensitive=False) for words in (WORST_FIRST, TYPES))
    for option in (
        click.option("--node", default="", help="Only nodes with this in their name."),
        click.option("--type", type=types, help="With --state: nodes of which this type stands so."),
        click.option("--state", type=states, help="Only nodes that stand so."),
        click.option("--region", default="", help="Only nodes of this region."),
        click.option("--group", default="", help="Only nodes of this group."),
    ):
        with_filter = option(with_filter)
    return with_filter


LATE: Final = {
    "forget": Late(
        "cellplane.cli.fleet_forget:forget",
        "Wait for a sidecar no more, because it is stopped for good.",
    ),
}


@click.group(cls=late_group(LATE))
def fleet() -> None:
    """Fleet: the Envoys that are connected, and how far each has come."""


@fleet.command("status")
@filter_options
@click.option("--all", "everything", is_flag=True, help=f"All rows; otherwise the worst {_ROWS}.")
@control_plane_option
@output_option
def status(chosen: Filter, everything: bool, control_plane: str, output: str) -> None:
    """Say how every node stands, worst first. Ends with 1 where one has rejected something."""
    found, nodes, readiness = _fleet(control_plane)
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


@fleet.command("watch")
@filter_options
@control_plane_option
def watch(chosen: Filter, control_plane: str) -> None:
    """Show the fleet as it changes, the worst nodes only, until interrupted."""
    _watched(chosen, control_plane)
    shown_at = time.monotonic()
    for kind, _ in listen(control_plane):
        # Every answer of every Envoy is an event; a person reads once a second at most.
        if kind in _REASONS_TO_LOOK and time.monotonic() - shown_at >= 1.0:
            shown_at = time.monotonic()
            _watched(chosen, control_plane)


@fleet.command("show")
@click.argument("node_id", metavar="NODE")
@control_plane_option
@output_option
def show(node_id: str, control_plane: str, output: str) -> None:
    """Show one node: what it asked for, was sent, has acknowledged and rejected, in Envoy's own words."""
    node = _node(control_plane, node_id)
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
    for line in _blamed(control_plane, node):
        click.echo(line)
    for hold in holds(node):
        click.echo(f"held {hold}")


@fleet.command("diff")
@click.argument("node_id", metavar="NODE")
@click.option("--admin", default="", metavar="URL", help="The Envoy's admin address, to ask it what it has.")
@control_plane_option
@output_option
def diff(node_id: str, admin: str, control_plane: str, output: str) -> None:
    """Say where a node has something else than it ought to. Ends with 1 where it has.

    With --admin the Envoy itself is asked, resource by resource. Without, what it acknowledged last counts.
    """
    node = _node(control_plane, node_id)
    if admin:
        wanted = ask(control_plane, f"/v1/snapshots/{quote(node.group, safe='')}", {"node": node.id})
        if "error" in wanted:
            fail(Exit.UNAVAILABLE, f"{wanted['error']}.")
        delta = all(each.startswith("delta") for each in node.body["streams"])
        rows = differences(wanted["resources"], has_of(dump_of(admin)), by_version=delta)
    else:
        rows = unacknowledged(node)
    if output == "json":
        print_json([dict(zip(("type", "name", "difference", "detail"), row, strict=True)) for row in rows])
    else:
        print_table(COLUMNS, rows, empty=f"{node_id} has all that it ought to have.")
    if rows:
        raise click.exceptions.Exit(int(Exit.FAILED))


def _node(control_plane: str, node_id: str) -> NodeRecord:
    _, nodes, _ = _fleet(control_plane)
    node = next((each for each in nodes if each.id == node_id), None)
    if node is None:
        fail(
            Exit.NOT_FOUND,
            f"node {node_id} is not connected to any replica that {control_plane} knows of.",
            "`cellplane fleet status` lists who is.",
        )
    return node


def _blamed(control_plane: str, node: NodeRecord) -> Iterator[str]:
    """Name the pushes that the rejected versions came with."""
    versions = {
        status["last_nack"]["version"] for status in node.types.values() if status["last_nack"] is not None
    }
    for version in sorted(versions):
        if version.isdecimal():
            for push in ask(control_plane, "/v1/pushes", {"revision": version}).get("pushes", ()):
                yield f"version {version} came with {blame(push)}"


def _watched(chosen: Filter, control_plane: str) -> None:
    found, nodes, readiness = _fleet(control_plane)
    shown = worst_first([each for each in nodes if chosen.takes(each)])
    click.clear()
    click.echo(time.strftime("%H:%M:%S"))
    _show(found, nodes, shown[:_ROWS], readiness)
    if words := left_out(shown[:_ROWS], shown):
        click.echo(words)


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
