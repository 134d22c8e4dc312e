from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from types import MappingProxyType

import pytest

from tests.topology.samples import CELL_4, STAMP, cell
from topology.model import QUARANTINABLE, Cell, CellState, Endpoint, Problem


def test_states_are_named_as_the_design_names_them() -> None:
    assert " ".join(CellState) == (
        "PROVISIONING CANARY ACTIVE CORDONED DRAINING DRAINED DECOMMISSIONED QUARANTINED"
    )
    assert set(QUARANTINABLE) == {"CANARY", "ACTIVE", "CORDONED", "DRAINING"}


def test_a_cell_has_defaults() -> None:
    made = Cell(
        id=7,
        name="seven",
        state=CellState.PROVISIONING,
        endpoints=(Endpoint(host="10.0.0.7", port=80),),
        stamp=STAMP,
    )
    assert made.session_prefix == "cell-7"
    assert (made.weight, made.capacity, made.ring, made.epoch, made.http2) == (100, 0, 0, 1, False)
    assert made.endpoints[0].weight == 1


def test_a_cell_cannot_be_edited_in_place() -> None:
    addresses = {"web": "a:1"}
    made = cell(1, addresses=addresses)
    addresses["web"] = "b:1"
    assert made.addresses == {"web": "a:1"}
    assert isinstance(made.addresses, MappingProxyType)
    with pytest.raises(FrozenInstanceError):
        made.weight = 5  # type: ignore[misc]


def test_cells_compare_and_hash_by_value() -> None:
    again = replace(CELL_4)
    assert again == CELL_4
    assert hash(again) == hash(CELL_4)
    assert replace(CELL_4, weight=1) != CELL_4
    assert replace(CELL_4, addresses={}) != CELL_4


def test_an_endpoint_knows_whether_eds_can_carry_it() -> None:
    assert Endpoint(host="10.0.0.1", port=1).is_ip
    assert Endpoint(host="fd00::1", port=1).is_ip
    assert not Endpoint(host="cell.example.com", port=1).is_ip


def test_a_problem_reads_as_a_line() -> None:
    assert (
        str(Problem(field="endpoints[1].port", message="0 is out of range"))
        == "endpoints[1].port: 0 is out of range"
    )
