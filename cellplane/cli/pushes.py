"""`cellplane pushes`: what went out to the fleet, what became of it, and what was held back.

Asks a control plane for the history; reads and writes documents through the Topology Service, and the control
plane does what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from cellplane.cli.asking import ask, control_plane_option, listen
from cellplane.cli.outcome import Exit, fail, output_option, print_fields, print_json, print_table, warn
from cellplane.cli.pushes_change import find_push, freeze, release, resume, rollback
from cellplane.cli.pushes_waves import waves
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.fleet_report import warnings
from cellplane.held_versions import REJECTED, HeldVersions, body_of, held_versions
from cellplane.push_diff import CAUSES
from cellplane.push_report import (
    COLUMNS,
    MAY_DROP,
    event_line,
    push_fields,
    push_row,
    rejection_lines,
    wave_lines,
)
from cellplane.pushes import HELD, held_pushes


@click.group()
def pushes() -> None:
    """Pushes: configuration on its way to the fleet, and what was held back."""


@pushes.command("list")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many, newest first."
)
@click.option("--cause", type=click.Choice(CAUSES), help="Only pushes with this cause.")
@control_plane_option
@output_option
def list_pushes(limit: int, cause: str | None, control_plane: str, output: str) -> None:
    """List what went out, newest first: what changed, who changed it, how long Envoys took."""
    query = {"limit": str(limit), **({"cause": cause} if cause else {})}
    page = ask(control_plane, "/v1/pushes", query)
    if output == "json":
        print_json(page)
        return
    _warn_of_waiting(page, control_plane)
    rows = [push_row(push) for push in page["pushes"]]
    print_table(COLUMNS, rows, empty="Nothing went out yet.", may_drop=MAY_DROP)


@pushes.command("show")
@click.argument("push_id", metavar="ID")
@control_plane_option
@output_option
def show(push_id: str, control_plane: str, output: str) -> None:
    """Show one push in full: what changed, who and why, who has it, who rejected it. ID may be `last`."""
    push = find_push(control_plane, push_id)
    if output == "json":
        print_json(push)
        return
    print_fields(push_fields(push))
    click.echo()
    for line in (*push["lines"], *wave_lines(push), *rejection_lines(push)):
        click.echo(line)


@pushes.command("diff")
@click.argument("push_id", metavar="ID")
@control_plane_option
def diff(push_id: str, control_plane: str) -> None:
    """Say what a push changed, a line each. ID may be `last`, or `pending` for what waits."""
    if push_id == "pending":
        page = ask(control_plane, "/v1/pushes/pending")
        for line in page["lines"] or ("Nothing waits.",):
            click.echo(line)
        return
    for line in find_push(control_plane, push_id)["lines"]:
        click.echo(line)


@pushes.command("watch")
@control_plane_option
def watch(control_plane: str) -> None:
    """Tell of each push as it goes out, and what becomes of it, until interrupted."""
    _warn_of_waiting(ask(control_plane, "/v1/pushes", {"limit": "1"}), control_plane)
    for kind, body in listen(control_plane):
        if line := event_line(kind, body):
            click.echo(line)


def _warn_of_waiting(page: dict[str, Any], control_plane: str) -> None:
    """Say loudly what keeps pushes from going out, and what waits for it."""
    if "pushes" not in page:
        fail(Exit.UNAVAILABLE, f"what answers at {control_plane} is no control plane of this version.")
    for warning in warnings({"ready": True, **page}):
        warn(warning)
    if page["problem"]:
        warn(f"INCOMPLETE: {page['problem']}.")
    if page["pending"]:
        warn(f"{len(page['pending'])} lines of change wait; `cellplane pushes diff pending` shows them.")


@pushes.command("held")
@service_options
@output_option
def held(service: ServiceSettings, output: str) -> None:
    """List what is held: snapshots that would take away too much, and versions Envoys rejected."""
    found = held_pushes(read_documents(service, HELD))
    versions = held_versions(read_documents(service, REJECTED))
    if output == "json":
        print_json(
            [{"kind": "snapshot", **asdict(push)} for push in found]
            + [{"kind": "version", **body_of(one.group, one.record)} for one in versions]
        )
        return
    rows = [
        (
            push.id,
            push.group,
            f"{push.clusters_before} → {push.clusters_after}",
            f"{push.routes_before} → {push.routes_after}",
            str(push.revision),
            push.held_at,
            push.reason,
        )
        for push in found
    ]
    if rows or not versions:
        print_table(
            ("ID", "GROUP", "CLUSTERS", "ROUTES", "REVISION", "HELD AT", "REASON"),
            rows,
            empty="Nothing is held.",
        )
    if versions:
        print_table(
            ("ID", "GROUP", "TYPE", "NAME", "VERSION", "HELD FOR", "ENVOY SAYS"),
            [row for one in versions for row in _version_rows(one)],
            empty="",
        )


def _version_rows(held: HeldVersions) -> Iterator[tuple[str, ...]]:
    kind, name = held.record.key
    for version, known in held.record.versions.items():
        nodes = ", ".join(one.node for one in known.rejections) or "-"
        words = known.rejections[0].message if known.rejections else "-"
        yield (held.id, held.group, kind.name, name, version, "group" if known.held else nodes, words)


for command in (freeze, resume, release, rollback, waves):
    pushes.add_command(command)
