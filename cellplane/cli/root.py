"""The root of the command: its groups, its version, its help.

A command's module is imported when it is asked for: `cellplane cells list` does not wait for the servers, and
`cellplane --help` for nothing.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Final

import click

from cellplane.cli.late import Late, late_group

COMMANDS: Final[Mapping[str, Late]] = {
    "bootstrap": Late("cellplane.cli.bootstrap:bootstrap_command", "Print the bootstrap of an Envoy."),
    "cells": Late("cellplane.cli.cells:cells", "Cells: what is there, in which state, with which weight."),
    "certificates": Late(
        "cellplane.cli.certificates:certificates",
        "Certificates: which files edges show, by path on the Envoys' hosts.",
    ),
    "claims": Late(
        "cellplane.cli.claims:claims",
        "Claims: who owns a name, an id, a key; and the leases that hold some of them.",
    ),
    "control-plane": Late(
        "cellplane.cli.control_plane:control_plane",
        "Follow the topology in etcd and push configuration to every Envoy that connects.",
    ),
    "demo": Late(
        "cellplane.cli.demo:demo",
        "Show the product on this machine: etcd, the control plane, cells and a real Envoy, and a tour that"
        " checks itself.",
    ),
    "doctor": Late(
        "cellplane.cli.doctor:doctor",
        "Check versions, etcd, clocks, certificates, ports and the fleet; say what to do.",
    ),
    "explain": Late("cellplane.cli.explain:explain_command", "Say where a request would go, and why."),
    "ext-proc": Late(
        "cellplane.cli.ext_proc:ext_proc",
        "Tell Envoys who owns what requests name, over ext_proc, from memory.",
    ),
    "fleet": Late(
        "cellplane.cli.fleet:fleet", "Fleet: the Envoys that are connected, and how far each has come."
    ),
    "moves": Late("cellplane.cli.moves:moves", "Move owners to another cell with their data, step by step."),
    "overrides": Late(
        "cellplane.cli.overrides:overrides",
        "Overrides: owners pinned or blocked, cells passed over, each for a time and with a reason.",
    ),
    "placements": Late("cellplane.cli.placements:placements", "Placements: which cell a newcomer goes to."),
    "pushes": Late(
        "cellplane.cli.pushes:pushes",
        "Pushes: configuration on its way to the fleet, and what was held back.",
    ),
    "rules": Late("cellplane.cli.rules:rules", "Rules: how a request finds its cell."),
    "topology": Late(
        "cellplane.cli.topology:topology",
        "Serve the topology: which cells there are, who owns what, where a request goes.",
    ),
    "zones": Late("cellplane.cli.zones:zones", "Evacuate a zone of a cell, whose other zones take over."),
}
"""Where each command is, and what it says of itself."""


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
