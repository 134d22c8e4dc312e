"""`cellplane pushes freeze|resume|release|rollback`: what a person may do to pushes.

Each asks for a document to be written through the Topology Service, which plans it; the control plane does
what follows. `pushes` puts them into its group.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from cellplane.cli.asking import ask, control_plane_option
from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option
from cellplane.cli.pushes_waves import is_wave, send_order
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from cellplane.held_versions import REJECTED, document_name, held_versions
from cellplane.push_report import blame
from cellplane.push_rollback import ROLLBACK, rollback_body, why_not
from cellplane.pushes import EVERYTHING, FROZEN, HELD, RELEASED, held_pushes
from cellplane.wave_record import Word


def find_push(control_plane: str, push_id: str) -> dict[str, Any]:
    """Give a push of the history by its id, the beginning of one, or `last`. Ends the command without."""
    found = ask(control_plane, f"/v1/pushes/{quote(push_id, safe='')}")
    if "error" in found:
        fail(Exit.NOT_FOUND, f"{found['error']}.", "`cellplane pushes list` shows what there is.")
    return found


@click.command("freeze")
@service_options
@change_options
@yes_option
@output_option
def freeze(service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str) -> None:
    """Let nothing go out on any replica until `resume`: no cell, no rule, no endpoint, no quarantine."""
    if not reason.strip():
        fail(Exit.USAGE, "a freeze needs --reason: whoever is on call next has to know.")
    change = document_change(FROZEN, EVERYTHING, {}, reason)
    commit(service, change, dry_run=dry_run, yes=yes, ask="Stop all pushes to every Envoy?", output=output)


@click.command("resume")
@service_options
@change_options
@yes_option
@output_option
def resume(service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str) -> None:
    """End a freeze: what waited goes out at once. `pushes diff pending` shows what that is."""
    change = document_change(FROZEN, EVERYTHING, None, reason)
    commit(service, change, dry_run=dry_run, yes=yes, ask="Let what waited go out?", output=output)


@click.command("rollback")
@click.argument("push_id", metavar="ID")
@control_plane_option
@service_options
@change_options
@yes_option
@output_option
def rollback(
    push_id: str,
    control_plane: str,
    service: ServiceSettings,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Make the records of a push what they were right before it, as one change. Claims are never moved by it.

    Refused where it cannot be had back: a removed cell's id, a move that the lifecycle does not know, a
    record that was written again since. Undo it by rolling back the push that it becomes.
    """
    push = find_push(control_plane, push_id)
    if reasons := why_not(push):
        fail(Exit.REFUSED, f"push {push['id']} cannot be rolled back: {reasons}.")
    commit(
        service,
        document_change(ROLLBACK, push["id"], rollback_body(push), reason),
        dry_run=dry_run,
        yes=yes,
        ask=f"Roll back {blame(push)}?",
        output=output,
    )


@click.command("release")
@click.argument("push_id", metavar="ID")
@service_options
@change_options
@yes_option
@output_option
def release(
    push_id: str, service: ServiceSettings, reason: str, dry_run: bool, yes: bool, output: str
) -> None:
    """Send a held snapshot, or a version that was rejected, after all; or a wave to all nodes at once."""
    if is_wave(service, push_id):
        question = f"Send everything that waits, wave {push_id} too, to all nodes at once?"
        send_order(service, push_id, Word.ALL, reason, dry_run=dry_run, yes=yes, ask=question, output=output)
        return
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
