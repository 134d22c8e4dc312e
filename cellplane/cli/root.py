"""The root of the command: its groups, its version, its help.

A command's module is imported when it is asked for: `cellplane cells list` does not wait for the servers.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Final

import click

from cellplane.cli.late import late_group

COMMANDS: Final[Mapping[str, str]] = {
    "bootstrap": "cellplane.cli.bootstrap:bootstrap_command",
    "cells": "cellplane.cli.cells:cells",
    "certificates": "cellplane.cli.certificates:certificates",
    "claims": "cellplane.cli.claims:claims",
    "control-plane": "cellplane.cli.control_plane:control_plane",
    "demo": "cellplane.cli.demo:demo",
    "doctor": "cellplane.cli.doctor:doctor",
    "explain": "cellplane.cli.explain:explain_command",
    "ext-proc": "cellplane.cli.ext_proc:ext_proc",
    "fleet": "cellplane.cli.fleet:fleet",
    "moves": "cellplane.cli.moves:moves",
    "overrides": "cellplane.cli.overrides:overrides",
    "placements": "cellplane.cli.placements:placements",
    "pushes": "cellplane.cli.pushes:pushes",
    "rules": "cellplane.cli.rules:rules",
    "topology": "cellplane.cli.topology:topology",
    "zones": "cellplane.cli.zones:zones",
}
"""Where each command is: its module, and its name there."""


@click.group(
    cls=late_group(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(importlib.metadata.version("cellplane"), prog_name="cellplane")
def cellplane() -> None:
    """Route a product's traffic to its cells: a topology in etcd, pushed to a fleet of Envoys.

    \b
    See it work:     cellplane demo
    Run it:          cellplane control-plane --help
    Change cells:    cellplane cells --help
    """  # noqa: D301  click wants the character itself
