"""Groups whose commands are imported when somebody asks for one, so that a quick command stays quick.

The root is one, and each group that has a command which needs far more than the others. It knows no command.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

import click


class Late(NamedTuple):
    """A command that is not imported yet."""

    place: str
    """Its module, and its name there."""
    help: str
    """What it says of itself in one sentence, for the list in the help of its group."""


def late_group(late: Mapping[str, Late]) -> type[click.Group]:
    """Make the class of a group that finds these commands late, by their names."""

    class Group(click.Group):
        """A group that has other commands besides those that it was given."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            """Name all commands, in the order of the help."""
            return sorted({*super().list_commands(ctx), *late})

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            """Import a command; none where there is no such name."""
            if cmd_name not in late:
                return super().get_command(ctx, cmd_name)
            module, name = late[cmd_name].place.split(":")
            command: click.Command = getattr(_imported(module), name)
            return command

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            """List all commands, and import none for it."""
            told = {name: click.Command(name, help=each.help) for name, each in late.items()}
            click.Group(commands={**self.commands, **told}).format_commands(ctx, formatter)

    return Group


def _imported(module: str) -> ModuleType:
    """Import a module. What it makes stays, so to look for garbage in it meanwhile only takes time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if collects:
            gc.enable()
