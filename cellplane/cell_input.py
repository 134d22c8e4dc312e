"""Cells as an operator writes them: a YAML or JSON file, or options, with defaults for everything that may
be left out.

The command line hands text in and gets Cells or InputErrors that name the field; the record's own rules stay
in the codec, which reads what this module fills up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cellplane.yaml_text import parse_yaml
from topology.codec import SCHEMA, Undecodable, decode
from topology.keys import CellKey
from topology.model import Cell, Stamp

# A cell is added in the first and led to the others by moves that its lifecycle allows.
BEGINNINGS = ("PROVISIONING", "CANARY", "ACTIVE")
_DURATION = re.compile(r"(\d+)(s|m|h|d)?\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FIELDS = {
    "name", "state", "addresses", "endpoints", "http2", "session_prefix", "sequence_ranges", "capacity",
    "weight", "ring", "region",
}  # fmt: skip


class InputError(Exception):
    """What was written cannot be read; the message names the field and the fix."""


def seconds(text: str) -> int:
    """Read a duration: 90, 90s, 10m, 2h or 1d, in seconds."""
    found = _DURATION.match(text.strip())
    if not found:
        raise InputError(f"{text!r} is no duration; write 90s, 10m, 2h or 1d.")
    return int(found[1]) * _UNIT_SECONDS[found[2] or "s"]


def endpoint(text: str) -> dict[str, Any]:
    """Read `HOST:PORT[,zone=ZONE][,weight=WEIGHT]`."""
    address, *extras = text.split(",")
    host, separator, port = address.strip().rpartition(":")
    if not separator or not port.isdigit():
        raise InputError(f"--endpoint {text!r}: write HOST:PORT, for example 10.0.0.5:8080,zone=a,weight=2.")
    found: dict[str, Any] = {"host": host.removeprefix("[").removesuffix("]"), "port": int(port)}
    for extra in extras:
        name, separator, value = extra.strip().partition("=")
        if name == "zone" and separator:
            found["zone"] = value
        elif name == "weight" and value.isdigit():
            found["weight"] = int(value)
        else:
            raise InputError(f"--endpoint {text!r}: {extra!r} is neither zone=NAME nor weight=NUMBER.")
    return found


def sequence(text: str) -> dict[str, int]:
    """Read `MIN-MAX`, both ends included."""
    low, separator, high = text.replace("_", "").partition("-")
    if not separator or not low.isdigit() or not high.isdigit():
        raise InputError(f"--sequence {text!r}: write MIN-MAX, for example 1000000000000-1099999999999.")
    return {"minval": int(low), "maxval": int(high)}


def address(text: str) -> tuple[str, str]:
    """Read `PROTOCOL=ADDRESS`."""
    protocol, separator, where = text.partition("=")
    if not separator or not protocol or not where:
        raise InputError(
            f"--address {text!r}: write PROTOCOL=ADDRESS, for example web=cell-1.example.com:443."
        )
    return protocol, where


def read_cells(path: Path, stamp: Stamp) -> tuple[Cell, ...]:
    """Read one cell or a list of cells from a YAML or JSON file."""
    try:
        document, _ = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--file {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"--file {path} is neither YAML nor JSON: {error}.") from error
    entries = document if isinstance(document, list) else [document]
    return tuple(
        cell_from_mapping(entry, stamp, f"--file {path}, entry {at}") for at, entry in enumerate(entries, 1)
    )


def cell_from_mapping(given: Any, stamp: Stamp, where: str) -> Cell:
    """Make a Cell of what an operator gave, filling in what may be left out."""
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: a cell is a mapping with at least `id` and `endpoints`.")
    cell_id = given.get("id")
    if not isinstance(cell_id, int) or isinstance(cell_id, bool):
        raise InputError(f"{where}: id: a whole number from 1 is needed.")
    if unknown := sorted(str(name) for name in set(given) - _FIELDS - {"id"}):
        raise InputError(
            f"{where}: {', '.join(unknown)}: no such field; a cell has id, {', '.join(sorted(_FIELDS))}."
        )
    if (state := given.get("state", BEGINNINGS[0])) not in BEGINNINGS:
        raise InputError(
            f"{where}: state: {state!r} is no beginning; a new cell begins in {', '.join(BEGINNINGS)}."
        )
    endpoints = given.get("endpoints", [])
    if isinstance(endpoints, list):
        endpoints = [
            {"zone": "", "weight": 1, **each} if isinstance(each, Mapping) else each for each in endpoints
        ]
    record = {
        "schema": SCHEMA,
        "name": f"cell-{cell_id}",
        "state": BEGINNINGS[0],
        "addresses": {},
        "http2": False,
        "session_prefix": f"cell-{cell_id}",
        "sequence_ranges": [],
        "capacity": 0,
        "weight": 100,
        "ring": 0,
        "region": "",
        "epoch": 1,
        "drain": None,
        "previous_state": None,
        **given,
        "endpoints": endpoints,
        "updated_by": stamp.updated_by,
        "updated_at": stamp.updated_at,
        "reason": stamp.reason,
    }
    try:
        text = json.dumps(record).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: a value is none that JSON can hold: {error}.") from error
    cell = decode(CellKey(cell_id), text)
    if isinstance(cell, Undecodable):
        raise InputError(f"{where}: {cell.reason}.")
    if not isinstance(cell, Cell):
        raise AssertionError("the key of a cell decodes to a cell")  # noqa: TRY004  a bug, not a wrong argument
    return cell
