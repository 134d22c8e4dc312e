"""Groups whose commands are imported when somebody asks for one, so that a quick command stays quick.

The root is one, and each group that has a command which needs far more than the others. It knows no command.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from types import ModuleType

import click


def late_group(places: Mapping[str, str]) -> type[click.Group]:
    """Make the class of a group that finds these commands late: each by its module and its name there."""

    class Late(click.Group):
        """A group that has other commands besides those that it was given."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            """Name all commands, in the order of the help."""
            return sorted({*super().list_commands(ctx), *places})

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            """Import a command; none where there is no such name."""
            if (place := places.get(cmd_name)) is None:
                return super().get_command(ctx, cmd_name)
            module, name = place.split(":")
            command: click.Command = getattr(_imported(module), name)
            return command

    return Late


def _imported(module: str) -> ModuleType:
    """Import a module. What it makes stays, so to look for garbage in it meanwhile only takes time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if collects:
            gc.enable()
