"""Commands that are found late stand beside those that a group has at once."""

from __future__ import annotations

import gc
import sys

import click
from click.testing import CliRunner

from cellplane.cli.late import Late, late_group

FORGET = Late("cellplane.cli.fleet_forget:forget", "Wait for a sidecar no more.")


@click.group(cls=late_group({"forget": FORGET}))
def group() -> None:
    """Do something."""


@group.command("here")
def here() -> None:
    """Say so."""
    click.echo("here")


def test_both_are_listed_and_found() -> None:
    sys.modules.pop("cellplane.cli.fleet_forget", None)
    assert CliRunner().invoke(group, ["here"]).stdout == "here\n"
    assert "cellplane.cli.fleet_forget" not in sys.modules
    said = CliRunner().invoke(group, ["--help"]).stdout
    assert said.index("forget  Wait for a sidecar no more.") < said.index("here    Say so.")
    assert "cellplane.cli.fleet_forget" not in sys.modules, "help waits for no command"
    assert CliRunner().invoke(group, ["forget", "--help"]).exit_code == 0


def test_to_import_one_leaves_the_collector_as_it_was() -> None:
    gc.disable()
    try:
        assert CliRunner().invoke(group, ["forget", "--help"]).exit_code == 0
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert CliRunner().invoke(group, ["forget", "--help"]).exit_code == 0
    assert gc.isenabled()


def test_one_that_is_nowhere_is_a_usage_error() -> None:
    assert CliRunner().invoke(group, ["nowhere"]).exit_code == 2
