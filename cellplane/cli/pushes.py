"""`cellplane pushes`: what was held back from the fleet, and the release of one of them.

Reads and writes documents in the topology; the control plane does what follows from them.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from cellplane.cli.changes import change_options, commit, yes_option
from cellplane.cli.connection import etcd_options, stamp, with_store
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.pushes import RELEASED, held_pushes
from cellplane.settings import EtcdSettings
from topology.apply import read_view
from topology.planning import Outcome, plan_document
from topology.view import View


@click.group()
def pushes() -> None:
    """Pushes: configuration on its way to the fleet, and what was held back."""


@pushes.command("held")
@etcd_options
@output_option
def held(etcd: EtcdSettings, output: str) -> None:
    """List snapshots that are held because they would take away too many clusters at once."""
    found = held_pushes(with_store(etcd, read_view))
    if output == "json":
        print_json([asdict(push) for push in found])
        return
    rows = [
        (
            push.id,
            push.group,
            f"{push.clusters_before} → {push.clusters_after}",
            str(push.revision),
            push.held_at,
            push.reason,
        )
        for push in found
    ]
    print_table(("ID", "GROUP", "CLUSTERS", "REVISION", "HELD AT", "REASON"), rows, empty="Nothing is held.")


@pushes.command("release")
@click.argument("push_id", metavar="ID")
@etcd_options
@change_options
@yes_option
@output_option
def release(push_id: str, etcd: EtcdSettings, reason: str, dry_run: bool, yes: bool, output: str) -> None:
    """Send a held snapshot to the fleet after all."""

    def plan(view: View) -> Outcome:
        push = next((each for each in held_pushes(view) if each.id == push_id), None)
        if push is None:
            fail(
                Exit.NOT_FOUND, f"no push {push_id} is held.", "`cellplane pushes held` lists those that are."
            )
        return plan_document(
            view, RELEASED, push_id, {"group": push.group, "revision": push.revision}, stamp(reason)
        )

    commit(
        etcd,
        plan,
        f"releasing push {push_id}",
        dry_run=dry_run,
        yes=yes,
        ask=f"Send push {push_id} to the fleet?",
        output=output,
    )
