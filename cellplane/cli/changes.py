"""How a command changes the topology: plan and show, ask where it hurts, then apply.

Every change of a command is planned before the first is written, so that a command does all that it says or
nothing. What is committed is what was shown: if somebody else was faster and a plan would now say something
else, the command stops and says who changed what. Every command that writes goes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Never, TypeVar

import click

from cellplane.cli.connection import with_store
from cellplane.cli.outcome import Exit, confirm, fail, print_json, refuse, warn
from cellplane.pushes import HeldPush, held_pushes
from cellplane.settings import EtcdSettings
from topology.apply import Applied, apply, read_view
from topology.keys import Keyspace
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.store import Batch, Event, EventKind, Record, Store
from topology.view import View, fold

Command = TypeVar("Command", bound=Callable[..., Any])

expect_option = click.option(
    "--expect-revision",
    type=int,
    help="Refuse unless the cell is still at this revision (`cells get` shows it).",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a command: what it is called in an error, and how it is planned."""

    what: str
    plan: Callable[[View], Outcome]


def change_options(command: Command) -> Command:
    """Add --reason and --dry-run."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
        click.option("--reason", default="", help="Why; kept with the record."),
    ):
        command = option(command)
    return command


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
    """Make one change, asking first where `ask` is a question. Ends the command where it does not happen."""
    commit_all(etcd, lambda _: [Step(what, plan)], dry_run=dry_run, yes=yes, ask=ask, output=output)


def commit_all(
    etcd: EtcdSettings,
    steps_of: Callable[[View], Sequence[Step]],
    *,
    dry_run: bool,
    yes: bool = True,
    ask: str = "",
    output: str = "table",
) -> None:
    """Make several changes in order, none of them unless all can be planned."""
    view = with_store(etcd, read_view)
    steps = steps_of(view)
    shown = _planned(view, steps)
    summary = [line for plan in shown for line in plan.summary]
    if dry_run:
        _show(summary, output, None)
        return
    if ask and not yes:
        click.echo("\n".join(summary), err=True)
    if ask:
        confirm(ask, yes=yes)
    held: list[HeldPush] = []

    async def work(store: Store, keyspace: Keyspace) -> int:
        revision, done = 0, 0
        for step, plan in zip(steps, shown, strict=True):
            outcome = await apply(store, keyspace, _as_shown(step, plan))
            if not isinstance(outcome, Applied):
                _stop(outcome, step.what, [line for each in shown[:done] for line in each.summary])
            revision, done = outcome.revision, done + 1
        held.extend(held_pushes(await read_view(store, keyspace)))
        return revision

    _show(summary, output, with_store(etcd, work))
    for push in held:
        warn(f"Push {push.id} is held, and nothing newer reaches the fleet: see `cellplane pushes held`.")


def _planned(view: View, steps: Sequence[Step]) -> list[Plan]:
    """Plan each step on what the steps before it leave behind."""
    plans = []
    for step in steps:
        outcome = step.plan(view)
        if not isinstance(outcome, Plan):
            _stop(outcome, step.what, [])
        plans.append(outcome)
        view = _after(view, outcome)
    return plans


def _after(view: View, plan: Plan) -> View:
    revision = view.revision + 1
    puts = [
        Event(EventKind.PUT, key, revision, Record(key, value, revision, revision, 1))
        for key, value in plan.txn.puts
    ]
    deletes = [Event(EventKind.DELETE, key, revision) for key in plan.txn.deletes]
    return fold(view, Batch(revision, (*puts, *deletes)))


def _as_shown(step: Step, shown: Plan) -> Callable[[View], Outcome]:
    def plan(view: View) -> Outcome:
        again = step.plan(view)
        if isinstance(again, Plan) and again.summary != shown.summary:
            return Overtaken(
                key=", ".join(again.keys), seen_revision=0, revision=view.revision, changes=again.summary
            )
        return again

    return plan


def _stop(outcome: Outcome, what: str, done: Sequence[str]) -> Never:
    for line in done:
        click.echo(f"done before: {line}", err=True)
    if isinstance(outcome, Refusal):
        refuse(outcome.problems, what, already=bool(done))
    if not isinstance(outcome, Overtaken):
        raise AssertionError("a plan is no reason to stop")  # noqa: TRY004  a bug, not a wrong argument
    lines = "\n".join(f"  {line}" for line in outcome.changes)
    fail(
        Exit.CONFLICT,
        f"{what} was not done: somebody else changed {outcome.key} meanwhile; it was left alone.\n{lines}",
        "Look at it, and run the command again if you still want it.",
    )


def _show(summary: Sequence[str], output: str, revision: int | None) -> None:
    if output == "json":
        print_json({"done": revision is not None, "revision": revision or None, "changes": list(summary)})
        return
    for line in summary:
        click.echo(line if revision is not None else f"would: {line}")
    if revision:
        click.echo(f"Committed at revision {revision}.")
