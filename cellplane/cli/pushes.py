"""`cellplane pushes`: what was held back from the fleet, and the release of one of them.

Reads and writes documents in the topology; the control plane does what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from cellplane.cli.changes import change_options, commit, yes_option
from cellplane.cli.connection import etcd_options, stamp, with_store
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.held_versions import REJECTED, HeldVersions, body_of, document_name, held_versions
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
    """List what is held: snapshots that would take away too many clusters, and versions Envoys rejected."""
    view = with_store(etcd, read_view)
    found, versions = held_pushes(view), held_versions(view)
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
            str(push.revision),
            push.held_at,
            push.reason,
        )
        for push in found
    ]
    if rows or not versions:
        print_table(
            ("ID", "GROUP", "CLUSTERS", "REVISION", "HELD AT", "REASON"), rows, empty="Nothing is held."
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


@pushes.command("release")
@click.argument("push_id", metavar="ID")
@etcd_options
@change_options
@yes_option
@output_option
def release(push_id: str, etcd: EtcdSettings, reason: str, dry_run: bool, yes: bool, output: str) -> None:
    """Send a held snapshot, or a version that was rejected, after all."""

    def plan(view: View) -> Outcome:
        push = next((each for each in held_pushes(view) if each.id == push_id), None)
        if push is not None:
            body = {"group": push.group, "revision": push.revision}
            return plan_document(view, RELEASED, push_id, body, stamp(reason))
        version = next((each for each in held_versions(view) if each.id == push_id), None)
        if version is None:
            fail(
                Exit.NOT_FOUND, f"no push {push_id} is held.", "`cellplane pushes held` lists those that are."
            )
        name = document_name(version.group, version.record.key)
        return plan_document(view, REJECTED, name, None, stamp(reason))

    commit(
        etcd,
        plan,
        f"releasing push {push_id}",
        dry_run=dry_run,
        yes=yes,
        ask=f"Send push {push_id} to the fleet?",
        output=output,
    )
