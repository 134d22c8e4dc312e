"""The root of the command: what is there, and what is not."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cellplane.cli.root import cellplane


def test_every_command_says_what_it_is_for() -> None:
    said = CliRunner().invoke(cellplane, ["--help"]).stdout

    for name in ("bootstrap", "cells", "control-plane", "demo", "pushes", "rules"):
        assert name in said
        command = cellplane.commands[name]
        assert command.help, f"{name} has no help"


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["cells", "-h"], ["cells", "add", "--help"]])
def test_help_and_version_end_well(arguments: list[str]) -> None:
    assert CliRunner().invoke(cellplane, arguments).exit_code == 0


def test_a_command_that_is_not_there_is_a_usage_error() -> None:
    result = CliRunner().invoke(cellplane, ["celsl"])

    assert result.exit_code == 2
    assert "celsl" in result.stderr
