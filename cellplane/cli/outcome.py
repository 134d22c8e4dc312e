"""How a command ends and what it prints: tables for people, JSON for programs, one exit code per kind of
ending.

Every command hands its result to this module; no command prints a table or chooses an exit code by itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Never

import click

if TYPE_CHECKING:  # quick commands do without
    from topology.model import Problem


_MOST_SHOWN = 20
_MANY = 500


class Exit(IntEnum):
    """Exit codes, kept apart so that a script can tell a typo from a lost race. 2 is click's own for bad
    usage.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    NOT_FOUND = 6


output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Table for people, JSON for programs.",
)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, may_drop: Sequence[str] = ()
) -> None:
    """Print rows under their headings, or the sentence `empty`, if there is one, where there are none.

    On a terminal that is too narrow the columns of `may_drop` go, in that order, until the rest fits; a pipe
    gets all.
    """
    if not rows:
        if empty:
            click.echo(empty)
        return
    rows = [[printable(cell) for cell in row] for row in rows]
    # A pipe has no width of its own: a table that a script cuts up must not be folded at 80 columns. And for
    # twenty thousand rows rich takes a minute.
    if len(rows) > _MANY or not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")):
        _print_plainly(columns, rows)
        return
    # A command that prints no table does not wait for this.
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    kept = list(range(len(columns)))
    for name in may_drop:
        if sum(widths[at] + 3 for at in kept) > console.width:
            kept.remove(columns.index(name))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for at in kept:
        table.add_column(columns[at], overflow="fold")
    for row in rows:
        table.add_row(*(row[at] for at in kept))
    console.print(table)


def print_fields(fields: Mapping[str, str]) -> None:
    """Print one record, a field a line, names aligned."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {printable(value)}")


def printable(text: str) -> str:
    """Spell what would break a line, or be obeyed by a terminal: users choose names."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _print_plainly(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len  # noqa: PLC0415  a command that prints no table does not wait for this

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        return "   ".join(padded).rstrip()

    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    click.echo("\n".join([line(columns), rule, *map(line, rows)]))


def warn(message: str) -> None:
    """Say something on standard error that does not end the command."""
    click.secho(message, fg="yellow", err=True)


def fail(code: Exit, message: str, hint: str = "") -> Never:
    """End the command with one message, an optional next step, and the exit code."""
    click.secho(f"Error: {message}", fg="red", err=True)
    if hint:
        click.echo(hint, err=True)
    raise click.exceptions.Exit(int(code))


def refuse(problems: Sequence[Problem], what: str, *, already: bool = False) -> Never:
    """End the command because the request itself is wrong: every problem with its field and its fix."""
    shown = problems if len(problems) <= _MOST_SHOWN else problems[: _MOST_SHOWN - 1]
    lines = "\n".join("  " + f"{problem.field}: {problem.message}".lstrip(": ") for problem in shown)
    if more := len(problems) - len(shown):
        lines += f"\n  … and {more} more"
    rest = "what was done before stands" if already else "nothing was changed"
    fail(Exit.REFUSED, f"{what} refused; {rest}.\n{lines}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something destructive; without a terminal, `--yes` is the only way to agree."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(Exit.REFUSED, f"{question} needs --yes where there is no terminal to ask on.")
    click.confirm(question, abort=True)
