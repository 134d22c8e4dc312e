"""How a command changes the topology: plan and show, ask where it hurts, then apply.

What is committed is what was shown: if somebody else was faster and the plan would now say something else,
nothing is written and the command says who changed what. Every command that writes goes through `commit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Never, TypeVar

import click

from cellplane.cli.connection import with_store
from cellplane.cli.outcome import Exit, confirm, fail, print_json, refuse, warn
from cellplane.pushes import HeldPush, held_pushes
from cellplane.settings import EtcdSettings
from topology.apply import Applied, apply, read_view
from topology.keys import Keyspace
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.store import Store
from topology.view import View

Command = TypeVar("Command", bound=Callable[..., Any])


def change_options(command: Command) -> Command:
    """Add --reason and --dry-run."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
        click.option("--reason", default="", help="Why; kept with the record."),
    ):
        command = option(command)
    return command


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def commit(
    etcd: EtcdSettings,
    plan: Callable[[View], Outcome],
    what: str,
    *,
    dry_run: bool,
    yes: bool = True,
    ask: str = "",
    output: str = "table",
) -> None:
    """Plan a change, show it, ask where `ask` is a question, and commit it. Ends the command where it does
    not happen.
    """

    async def first(store: Store, keyspace: Keyspace) -> Outcome:
        return plan(await read_view(store, keyspace))

    shown = with_store(etcd, first)
    if not isinstance(shown, Plan):
        _stop(shown, what)
    if dry_run:
        _show(shown.summary, output, None)
        return
    if ask:
        if not yes:
            click.echo("\n".join(shown.summary), err=True)
        confirm(ask, yes=yes)

    def as_shown(view: View) -> Outcome:
        again = plan(view)
        if isinstance(again, Plan) and again.summary != shown.summary:
            return Overtaken(
                key=", ".join(again.keys), seen_revision=0, revision=view.revision, changes=again.summary
            )
        return again

    held: list[HeldPush] = []

    async def work(store: Store, keyspace: Keyspace) -> Applied | Refusal | Overtaken:
        outcome = await apply(store, keyspace, as_shown)
        held.extend(held_pushes(await read_view(store, keyspace)))
        return outcome

    outcome = with_store(etcd, work)
    if isinstance(outcome, Refusal | Overtaken):
        _stop(outcome, what)
    _show(outcome.summary, output, outcome.revision)
    for push in held:
        warn(f"Push {push.id} is held, and nothing newer reaches the fleet: see `cellplane pushes held`.")


def _stop(outcome: Outcome, what: str) -> Never:
    if isinstance(outcome, Refusal):
        refuse(outcome.problems, what)
    if not isinstance(outcome, Overtaken):
        raise AssertionError("a plan is no reason to stop")  # noqa: TRY004  a bug, not a wrong argument
    lines = "\n".join(f"  {line}" for line in outcome.changes)
    fail(
        Exit.CONFLICT,
        f"{what} was not done: somebody else changed {outcome.key} meanwhile; nothing was written.\n{lines}",
        "Look at it, and run the command again if you still want it.",
    )


def _show(summary: tuple[str, ...], output: str, revision: int | None) -> None:
    if output == "json":
        print_json({"done": revision is not None, "revision": revision, "changes": list(summary)})
        return
    for line in summary:
        click.echo(line if revision is not None else f"would: {line}")
    if revision is not None:
        click.echo(f"Committed at revision {revision}.")
