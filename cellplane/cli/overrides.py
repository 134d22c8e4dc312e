"""`cellplane overrides`: owners pinned to a cell or blocked, cells passed over, each until a moment.

Every command is a document written or read through the Topology Service; what is over has no effect, and is
kept until somebody removes it or writes it anew.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cellplane.cell_input import InputError, seconds
from cellplane.cli.changes import change_options, commit, document_change, yes_option
from cellplane.cli.outcome import Exit, fail, output_option, print_json, print_table
from cellplane.cli.ranges import CELL_ID
from cellplane.cli.reading import read_documents
from cellplane.cli.service import ServiceSettings, service_options
from topology import forms
from topology.overrides import KIND, LONGEST, Action, Override, overrides_of

for_option = click.option(
    "--for", "duration", required=True, metavar="TIME", help="How long it is in force: 90s, 10m, 2h or 1d."
)


@click.group()
def overrides() -> None:
    """Overrides: owners pinned or blocked, cells passed over, each for a time and with a reason."""  # noqa: D401


@overrides.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@service_options
@output_option
def list_overrides(everything: bool, service: ServiceSettings, output: str) -> None:
    """List what is in force, who did it, and why."""
    found = overrides_of(read_documents(service, KIND).documents)
    now = datetime.now(UTC)
    every = [*found.owners.values(), *found.cells.values()]
    shown = sorted((one for one in every if everything or now < one.until), key=lambda one: one.name)
    if output == "json":
        print_json([_json(one, now) for one in shown])
        return
    rows = [
        (one.name, _said(one), _left(one, now), one.stamp.updated_by, one.stamp.reason or "-")
        for one in shown
    ]
    print_table(("NAME", "OVERRIDE", "UNTIL", "BY", "WHY"), rows, empty="Nothing is overridden.")


@overrides.command("pin")
@click.argument("owner")
@click.option("--cell", "cell_id", type=CELL_ID, required=True, help="Where it is sent.")
@for_option
@change_options
@yes_option
@service_options
@output_option
def pin(
    owner: str,
    cell_id: int,
    duration: str,
    reason: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Send an owner's requests to a cell, wherever its claims are. OWNER is spelled like ORGANIZATION/42.

    It moves nothing: the cell answers with what it has, and a sidecar goes on refusing what has left.
    """
    body = {"action": Action.PIN.value, "cell": cell_id, "until": _until(duration)}
    _write(
        owner.upper(), body, reason, f"Send {owner.upper()} to cell {cell_id}?", dry_run, yes, service, output
    )


@overrides.command("block")
@click.argument("owner")
@for_option
@change_options
@yes_option
@service_options
@output_option
def block(
    owner: str, duration: str, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Refuse an owner's requests, with 403."""
    body = {"action": Action.BLOCK.value, "until": _until(duration)}
    _write(
        owner.upper(), body, reason, f"Refuse all requests of {owner.upper()}?", dry_run, yes, service, output
    )


@overrides.command("pass")
@click.argument("cell_id", metavar="CELL", type=CELL_ID)
@for_option
@change_options
@yes_option
@service_options
@output_option
def pass_over(
    cell_id: int, duration: str, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Pass a whole cell over, as if it did not serve: what names it goes on to the next rule, and at last to
    the default. Operators' own override header still reaches it.
    """
    body = {"action": Action.PASS.value, "until": _until(duration)}
    ask = f"Send everything of cell {cell_id} to whoever comes next?"
    _write(f"cell/{cell_id}", body, reason, ask, dry_run, yes, service, output)


@overrides.command("remove")
@click.argument("name")
@change_options
@yes_option
@service_options
@output_option
def remove(name: str, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str) -> None:
    """End an override. NAME is as listed: ORGANIZATION/42, or cell/3."""
    named = name.lower() if name.lower().startswith("cell/") else name.upper()
    change = document_change(KIND, named, None, reason)
    commit(service, change, dry_run=dry_run, yes=yes, ask=f"End the override of {named}?", output=output)


def _write(
    name: str,
    body: dict[str, Any],
    reason: str,
    ask: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    if not reason.strip():
        fail(Exit.USAGE, "an override needs --reason: whoever is on call next has to know.")
    commit(
        service,
        document_change(KIND, name, body, reason),
        dry_run=dry_run,
        yes=yes,
        ask=ask,
        output=output,
        more={"undo": f"cellplane overrides remove {name}"},
    )


def _until(duration: str) -> str:
    try:
        length = seconds(duration)
    except InputError as error:
        fail(Exit.USAGE, f"--for: {error}")
    if not 0 < length <= LONGEST.total_seconds():
        fail(Exit.USAGE, f"--for: {duration!r}: use more than 0 and at most {LONGEST.days}d; renew it then.")
    return forms.format_utc(datetime.now(UTC) + timedelta(seconds=length))


def _said(one: Override) -> str:
    return f"pin to cell {one.cell_id}" if one.action is Action.PIN else one.action.value


def _left(one: Override, now: datetime) -> str:
    until = one.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return until if now < one.until else f"{until} (over)"


def _json(one: Override, now: datetime) -> dict[str, Any]:
    return {
        "name": one.name,
        "action": one.action.value,
        "cell": one.cell_id or None,
        "until": forms.format_utc(one.until),
        "in_force": now < one.until,
        "by": one.stamp.updated_by,
        "at": one.stamp.updated_at,
        "reason": one.stamp.reason,
    }
