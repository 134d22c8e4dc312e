"""The root of the command: its groups, its version, its help."""

from __future__ import annotations

import importlib.metadata

import click

from cellplane.cli.bootstrap import bootstrap_command
from cellplane.cli.cells import cells
from cellplane.cli.claims import claims
from cellplane.cli.control_plane import control_plane
from cellplane.cli.demo import demo
from cellplane.cli.explain import explain_command
from cellplane.cli.ext_proc import ext_proc
from cellplane.cli.fleet import fleet
from cellplane.cli.placements import placements
from cellplane.cli.pushes import pushes
from cellplane.cli.rules import rules
from cellplane.cli.topology import topology


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(importlib.metadata.version("cellplane"), prog_name="cellplane")
def cellplane() -> None:
    """Route a product's traffic to its cells: a topology in etcd, pushed to a fleet of Envoys.

    \b
    See it work:     cellplane demo
    Run it:          cellplane control-plane --help
    Change cells:    cellplane cells --help
    """  # noqa: D301  click wants the character itself


for command in (
    control_plane,
    topology,
    ext_proc,
    cells,
    claims,
    placements,
    rules,
    explain_command,
    fleet,
    pushes,
    bootstrap_command,
    demo,
):
    cellplane.add_command(command)
