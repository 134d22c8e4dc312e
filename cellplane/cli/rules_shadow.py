"""`cellplane rules shadow`: a ruleset that is tried beside the one in force, before it is applied.

The candidate is a document in the topology; the ext_proc servers count what it would do, and tell on their
status pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellplane.cli.asking import ask
from cellplane.cli.changes import change_options, commit, document_change
from cellplane.cli.outcome import output_option, print_json, print_table, refuse
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.ruleset_file import read_ruleset
from envoy.shadow import KIND, NAME


@click.group()
def shadow() -> None:
    """Try a ruleset beside the one in force: what it would send elsewhere, before it is applied."""


@shadow.command("start")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--percent",
    type=click.FloatRange(0.01, 100),
    default=1.0,
    show_default=True,
    help="The share of the requests that it is tried on.",
)
@service_options
@change_options
@output_option
def start(
    file: Path, percent: float, service: ServiceSettings, reason: str, dry_run: bool, output: str
) -> None:
    """Try a ruleset on a share of the requests, in place of any other that is tried.

    No request waits for it or goes elsewhere. Envoys show the ext_proc servers the headers of these requests,
    credentials included, as the rules want them.
    """
    body = read_ruleset(file)
    if isinstance(body, tuple):
        refuse(body, f"{file}")
    change = document_change(KIND, NAME, {"percent": percent, "ruleset": body}, reason)
    commit(service, change, dry_run=dry_run, output=output)


@shadow.command("stop")
@service_options
@change_options
@output_option
def stop(service: ServiceSettings, reason: str, dry_run: bool, output: str) -> None:
    """Try it no longer."""
    commit(service, document_change(KIND, NAME, None, reason), dry_run=dry_run, output=output)


@shadow.command("show")
@click.option(
    "--ext-proc-status",
    "servers",
    multiple=True,
    default=("http://127.0.0.1:18011",),
    show_default=True,
    metavar="URL",
    help="The status address of an ext_proc server; repeat it for each.",
)
@output_option
def show(servers: tuple[str, ...], output: str) -> None:
    """Show what was counted, and the last requests that would go elsewhere."""
    fix = "Name each server's --status-listen with --ext-proc-status."
    told = [ask(server, "/v1/shadow", who="ext_proc server", fix=fix) for server in servers]
    if output == "json":
        print_json(dict(zip(servers, told, strict=True)))
        return
    if not any(page["candidate"] for page in told):
        click.echo("No ruleset is tried: `cellplane rules shadow start` begins.")
        return
    counts: dict[tuple[str, str, str], int] = {}
    for each in (count for page in told for count in page["requests"]):
        key = (each["live_rule"], each["candidate_rule"], each["outcome"])
        counts[key] = counts.get(key, 0) + each["count"]
    rows = [(*key, str(count)) for key, count in sorted(counts.items(), key=lambda pair: -pair[1])]
    print_table(("IN FORCE", "CANDIDATE", "GOES", "REQUESTS"), rows, empty="Nothing has been shown.")
    moved: list[dict[str, Any]] = [each for page in told for each in page["elsewhere"]]
    if moved:
        rows_moved = [(each["method"], each["path"], each["live"], each["candidate"]) for each in moved]
        print_table(("METHOD", "PATH", "IN FORCE", "CANDIDATE"), rows_moved, empty="")
