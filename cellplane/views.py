"""A View for people and programs: rows of a table, and the JSON that `/v1/view` and `--output json` give.

Reads Views; the command line and the status pages print what it returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from topology.codec import encode
from topology.lifecycle import allowed_moves
from topology.model import Cell
from topology.view import Quarantined, View

CELL_COLUMNS = (
    "ID",
    "NAME",
    "STATE",
    "WEIGHT",
    "ENDPOINTS",
    "ZONES",
    "REGION",
    "RING",
    "UPDATED BY",
    "UPDATED AT",
    "REASON",
)


# What a narrow terminal can do without, first to go first.
CELLS_MAY_DROP = ("RING", "ZONES", "REGION", "REASON", "UPDATED BY", "ENDPOINTS", "UPDATED AT")


def cell_json(cell: Cell, mod_revision: int) -> dict[str, Any]:
    """Return a cell's record as it is stored, with the revision that guards it and where it may go from
    here.
    """
    record: dict[str, Any] = json.loads(encode(cell))
    return {
        **record,
        "mod_revision": mod_revision,
        "allowed_moves": list(allowed_moves(cell.state, cell.previous_state)),
    }


def quarantined_json(record: Quarantined) -> dict[str, Any]:
    """Return a quarantined record: its key, why, and the first bytes of what is there."""
    return {
        "key": record.key,
        "kind": record.kind.value,
        "reason": record.reason,
        "mod_revision": record.mod_revision,
        "raw": record.raw.decode(errors="replace"),
    }


def view_json(view: View) -> dict[str, Any]:
    """Return cells, quarantined records and the revision."""
    return {
        "revision": view.revision,
        "stale": view.stale,
        "cells": [cell_json(cell, view.cell_revision(cell.id)) for cell in view.cells.values()],
        "quarantined": [quarantined_json(record) for record in view.quarantined.values()],
    }


def cell_rows(cells: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a table row per cell of `view_json`."""
    for cell in cells:
        state = cell["state"]
        if state == "QUARANTINED":
            state = f"{state} (was {cell['previous_state']})"
        elif cell["drain"]:
            state = f"{state} (over {cell['drain']['seconds']} s)"
        zones = sorted({endpoint["zone"] or "-" for endpoint in cell["endpoints"]})
        yield (
            str(cell["id"]),
            cell["name"],
            state,
            str(cell["weight"]),
            str(len(cell["endpoints"])),
            ",".join(zones),
            cell["region"] or "-",
            str(cell["ring"]),
            cell["updated_by"],
            cell["updated_at"][:19].replace("T", " "),
            cell["reason"] or "-",
        )


def cell_fields(cell: Mapping[str, Any]) -> dict[str, str]:
    """Return one cell of `view_json` as fields of text."""
    endpoints = [
        f"{each['host']}:{each['port']}"
        + (f" zone {each['zone']}" if each["zone"] else "")
        + f" weight {each['weight']}"
        for each in cell["endpoints"]
    ]
    ranges = [f"{each['minval']}-{each['maxval']}" for each in cell["sequence_ranges"]]
    drain = cell["drain"]
    return {
        "id": str(cell["id"]),
        "name": cell["name"],
        "state": cell["state"] + (f" (was {cell['previous_state']})" if cell["previous_state"] else ""),
        "may go to": ", ".join(cell["allowed_moves"]) or "nowhere",
        "drain": f"since {drain['started_at']} over {drain['seconds']} s" if drain else "-",
        "endpoints": "; ".join(endpoints) + (" (HTTP/2)" if cell["http2"] else ""),
        "addresses": ", ".join(f"{name}={where}" for name, where in cell["addresses"].items()) or "-",
        "session prefix": cell["session_prefix"],
        "sequences": ", ".join(ranges) or "-",
        "weight": str(cell["weight"]),
        "capacity": str(cell["capacity"]) if cell["capacity"] else "not limited",
        "ring": str(cell["ring"]),
        "region": cell["region"] or "-",
        "epoch": str(cell["epoch"]),
        "updated": f"by {cell['updated_by']} at {cell['updated_at']}"
        + (f": {cell['reason']}" if cell["reason"] else ""),
        "revision": str(cell["mod_revision"]),
    }
