"""`cellplane pushes`: what was held back from the fleet, and the release of one of them.

Reads and writes documents through the Topology Service; the control plane does what follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.held_versions import REJECTED, HeldVersions, body_of, document_name, held_versions
from cellplane.pushes import HELD, RELEASED, held_pushes


@click.group()
def pushes() -> None:
    """Pushes: configuration on its way to the fleet, and what was held back."""


@pushes.command("held")
@service_options
@output_option
def held(service: ServiceSettings, output: str) -> None:
    """List what is held: snapshots that would take away too many clusters, and versions Envoys rejected."""
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
@service_options
@change_options
@yes_option
@output_option
def release(
    push_id: str, service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str
) -> None:
    """Send a held snapshot, or a version that was rejected, after all."""
    push = next((each for each in held_pushes(read_documents(service, HELD)) if each.id == push_id), None)
    if push is not None:
        body = {"group": push.group, "revision": push.revision}
        change = document_change(RELEASED, push_id, body, reason)
    else:
        versions = held_versions(read_documents(service, REJECTED))
        version = next((each for each in versions if each.id == push_id), None)
        if version is None:
            fail(
                Exit.NOT_FOUND, f"no push {push_id} is held.", "`cellplane pushes held` lists those that are."
            )
        name = document_name(version.group, version.record.key)
        change = document_change(REJECTED, name, None, reason)
    commit(
        service,
        change,
        dry_run=dry_run,
        yes=yes,
        ask=f"Send push {push_id} to the fleet?",
        output=output,
    )
