"""The root of the command: what is there, and what is not."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from cellplane.cli.fleet import LATE
from cellplane.cli.fleet_forget import forget
from cellplane.cli.root import COMMANDS, cellplane


def test_every_command_says_what_it_is_for() -> None:
    said = CliRunner().invoke(cellplane, ["--help"]).stdout

    context = click.Context(cellplane)
    for name in ("bootstrap", "cells", "control-plane", "demo", "pushes", "rules"):
        assert name in cellplane.list_commands(context)
    for name in cellplane.list_commands(context):
        assert name in said
        command = cellplane.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help, f"{name} has no help"


def said_of_itself(command: click.Command) -> str:
    return command.get_short_help_str(limit=1000)


def test_help_says_of_a_command_what_that_says_of_itself() -> None:
    context = click.Context(cellplane)
    for name, late in COMMANDS.items():
        command = cellplane.get_command(context, name)
        assert command is not None
        assert late.help == said_of_itself(command)
    assert LATE["forget"].help == said_of_itself(forget)


def test_a_command_waits_for_no_other() -> None:
    code = """
import sys
from cellplane.cli.root import cellplane
cellplane(["cells", "-h"], standalone_mode=False)
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    loaded = said.splitlines()[-1].split()
    assert "cellplane.cli.cells" in loaded
    assert not {"cellplane.control_plane", "cellplane.topology_service", "aiohttp", "asyncpg"} & set(loaded)


def test_help_waits_for_no_command() -> None:
    code = """
import sys
from cellplane.cli.root import cellplane
cellplane(["--help"], standalone_mode=False)
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert not {"grpc", "yaml", "topology", "cellplane.cli.cells"} & set(said.splitlines()[-1].split())


def test_the_fleet_is_shown_without_what_only_its_other_commands_need() -> None:
    code = """
import sys
from cellplane.cli.root import cellplane
cellplane(["fleet", "status", "-h"], standalone_mode=False)
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    loaded = said.splitlines()[-1].split()
    assert "cellplane.cli.fleet" in loaded
    assert not {
        "grpc",
        "google.protobuf",
        "rich.console",
        "topology.model",
        "cellplane.cli.fleet_forget",
    } & set(loaded)


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["cells", "-h"], ["cells", "add", "--help"]])
def test_help_and_version_end_well(arguments: list[str]) -> None:
    assert CliRunner().invoke(cellplane, arguments).exit_code == 0


def test_a_command_that_is_not_there_is_a_usage_error() -> None:
    result = CliRunner().invoke(cellplane, ["celsl"])

    assert result.exit_code == 2
    assert "celsl" in result.stderr
