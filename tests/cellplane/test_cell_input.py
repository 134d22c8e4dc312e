"""What an operator may write of a cell, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cellplane.cell_input import (
    InputError,
    address,
    cell_from_mapping,
    endpoint,
    read_cells,
    seconds,
    sequence,
)
from topology.model import CellState, Endpoint, SequenceRange, Stamp

STAMP = Stamp(updated_by="ada", updated_at="2026-11-22T10:00:00+00:00", reason="test")


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_durations(text: str, expected: int) -> None:
    assert expected == seconds(text)


@pytest.mark.parametrize("text", ["", "ten", "-5s", "1w", "5 m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="write 90s, 10m"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5:8080", {"host": "10.0.0.5", "port": 8080}),
        ("[::1]:80,zone=a,weight=2", {"host": "::1", "port": 80, "zone": "a", "weight": 2}),
        ("cell-1.internal:443, zone=b", {"host": "cell-1.internal", "port": 443, "zone": "b"}),
    ],
)
def test_endpoints(text: str, expected: dict[str, Any]) -> None:
    assert expected == endpoint(text)


@pytest.mark.parametrize(
    "text", ["10.0.0.5", "10.0.0.5:http", "10.0.0.5:80,colour=red", "10.0.0.5:80,weight=much"]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(InputError, match="--endpoint"):
        endpoint(text)


def test_sequences_and_addresses() -> None:
    assert sequence("1_000-1_999") == {"minval": 1000, "maxval": 1999}
    assert address("web=cell-1.example.com:443") == ("web", "cell-1.example.com:443")
    with pytest.raises(InputError, match="--sequence"):
        sequence("1000")
    with pytest.raises(InputError, match="--address"):
        address("web")


def test_what_may_be_left_out_is_filled_in() -> None:
    cell = cell_from_mapping({"id": 4, "endpoints": [{"host": "10.0.0.5", "port": 80}]}, STAMP, "here")

    assert (
        cell.id, cell.name, cell.state, cell.session_prefix, cell.weight,
    ) == (4, "cell-4", CellState.PROVISIONING, "cell-4", 100)  # fmt: skip
    assert (Endpoint(host="10.0.0.5", port=80, zone="", weight=1),) == cell.endpoints
    assert cell.stamp == STAMP


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("just text", "a cell is a mapping"),
        ({"endpoints": []}, "id: a whole number"),
        ({"id": True, "endpoints": []}, "id: a whole number"),
        ({"id": 4, "endpoints": [], "colour": "red"}, "colour: no such field"),
        ({"id": 4}, "endpoints"),
        ({"id": 0, "endpoints": [{"host": "10.0.0.5", "port": 80}]}, "id"),
        ({"id": 4, "endpoints": [{"host": "10.0.0.5", "port": 0}]}, r"endpoints\[0\].port"),
        ({"id": 4, "endpoints": [{"host": "not a host", "port": 80}]}, r"endpoints\[0\].host"),
        ({"id": 4, "endpoints": ["10.0.0.5:80"]}, r"endpoints\[0\]"),
        ({"id": 4, "state": "SLEEPING", "endpoints": [{"host": "10.0.0.5", "port": 80}]}, "state"),
        ({"id": 4, "weight": -1, "endpoints": [{"host": "10.0.0.5", "port": 80}]}, "weight"),
        ({"id": 4, "weight": "much", "endpoints": [{"host": "10.0.0.5", "port": 80}]}, "weight"),
    ],
)
def test_each_mistake_is_named(given: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        cell_from_mapping(given, STAMP, "cells.yaml")


def test_a_file_of_cells(tmp_path: Path) -> None:
    path = tmp_path / "cells.yaml"
    path.write_text(
        "- id: 1\n  endpoints: [{host: 10.0.1.1, port: 80}]\n"
        "- id: 2\n  endpoints: [{host: 10.0.2.1, port: 80}]\n  sequence_ranges: [{minval: 1, maxval: 9}]\n"
    )

    first, second = read_cells(path, STAMP)

    assert (first.id, second.id) == (1, 2)
    assert (SequenceRange(minval=1, maxval=9),) == second.sequence_ranges


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cells.yaml: No such file"):
        read_cells(tmp_path / "cells.yaml", STAMP)
    (tmp_path / "bad.yaml").write_text("{[")
    with pytest.raises(InputError, match="neither YAML nor JSON"):
        read_cells(tmp_path / "bad.yaml", STAMP)
