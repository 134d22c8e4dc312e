"""`cellplane fleet`: what every connected Envoy was sent, has acknowledged, and rejected.

Asks a control plane's status pages; it changes nothing.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import click

from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, warn
from cellplane.fleet_report import (
    FLEET_COLUMNS,
    TYPE_COLUMNS,
    age,
    fleet_rows,
    holds,
    rejections,
    summary,
    type_rows,
    warnings,
)

status_option = click.option(
    "--status-url",
    default="http://127.0.0.1:18001",
    show_default=True,
    envvar="CELLPLANE_STATUS_URL",
    help="The control plane to ask.",
)


@click.group()
def fleet() -> None:
    """Fleet: the Envoys that are connected, and how far each has come."""


@fleet.command("status")
@status_option
@output_option
def status(status_url: str, output: str) -> None:
    """Say how every node stands, worst first. Ends with 1 where one has rejected something."""
    found, readiness = _ask(status_url)
    revision = int(readiness.get("revision") or 0)
    if output == "json":
        print_json({"revision": revision, "control_plane": readiness, **found})
    else:
        click.echo(summary(found, revision))
        for warning in warnings(readiness):
            warn(warning)
        print_table(
            FLEET_COLUMNS,
            fleet_rows(found, revision, time.time()),
            empty="",
            may_drop=("GROUP", "ENVOY", "CONNECTED", "SETTLED"),
        )
    if any(row[3] == "REJECTED" for row in fleet_rows(found, revision, time.time())):
        raise click.exceptions.Exit(int(Exit.FAILED))


@fleet.command("show")
@click.argument("node_id", metavar="NODE")
@status_option
@output_option
def show(node_id: str, status_url: str, output: str) -> None:
    """Show one node: what it asked for, was sent, has acknowledged and rejected, in Envoy's own words."""
    found, readiness = _ask(status_url)
    revision = int(readiness.get("revision") or 0)
    node = next((each for each in found["nodes"] if each["id"] == node_id), None)
    if node is None:
        fail(
            Exit.NOT_FOUND,
            f"node {node_id} is not connected to {status_url}.",
            "`cellplane fleet status` lists who is.",
        )
    if output == "json":
        print_json(node)
        return
    print_fields(
        {
            "node": node["id"],
            "group": node["group"],
            "cluster": node["cluster"] or "-",
            "locality": "/".join(filter(None, (node["region"], node["zone"]))) or "-",
            "envoy": node["version"] or "-",
            "streams": ", ".join(node["streams"]),
            "connected": age(time.time() - node["connected_at"]),
            "settled": f"revision {node['settled_revision']} of {revision}",
        }
    )
    click.echo()
    print_table(TYPE_COLUMNS, type_rows(node), empty="")
    for rejection in rejections(node):
        click.echo(f"rejected {rejection}")
    for hold in holds(node):
        click.echo(f"held {hold}")


def _ask(status_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in ("/v1/fleet", "/readyz"):
        try:
            found.append(_page(status_url + path))
        except (urllib.error.URLError, OSError, ValueError) as error:
            fail(
                Exit.UNAVAILABLE,
                f"no control plane answers at {status_url}: {error}.",
                "Name the right one with --status-url or CELLPLANE_STATUS_URL.",
            )
    fleet_page, readiness = found
    if "nodes" not in fleet_page:
        fail(Exit.UNAVAILABLE, f"what answers at {status_url} is no control plane.")
    return fleet_page, readiness


def _page(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  the operator's URL
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))  # /readyz tells its reasons with a 503
