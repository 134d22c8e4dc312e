"""A cell as GitLab's clients see it."""

from __future__ import annotations

import pytest

from pb.gitlab.cells.topology_service import cell_info_pb2
from tests.topology.samples import cell
from topology.model import CellState, Endpoint, SequenceRange
from topology.service.cell_info import address_of, cell_info, is_listed


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ("https://cell-1.example.com", "cell-1.example.com"),
        ("https://cell-1.example.com:8443/x", "cell-1.example.com:8443"),
        ("cell-1.example.com:443", "cell-1.example.com:443"),
    ],
)
def test_the_address_is_the_web_address_without_scheme(web: str, address: str) -> None:
    assert address_of(cell(1, addresses={"web": web})) == address


def test_without_one_it_is_the_first_endpoint_in_service() -> None:
    endpoints = (
        Endpoint(host="10.0.0.1", port=80, weight=0),
        Endpoint(host="fd00::1", port=81),
        Endpoint(host="10.0.0.3", port=82),
    )
    assert address_of(cell(1, endpoints=endpoints)) == "[fd00::1]:81"
    assert address_of(cell(1, endpoints=endpoints[:1])) == "10.0.0.1:80"
    assert address_of(cell(1, endpoints=())) == ""


def test_a_decommissioned_cell_is_not_listed() -> None:
    assert {state for state in CellState if not is_listed(cell(1, state))} == {CellState.DECOMMISSIONED}


def test_the_first_range_is_there_for_clients_that_know_one() -> None:
    ranges = (SequenceRange(minval=1, maxval=9), SequenceRange(minval=20, maxval=29))
    info = cell_info(cell(1, sequence_ranges=ranges))
    assert info.sequence_range == cell_info_pb2.SequenceRange(minval=1, maxval=9)
    assert [each.minval for each in info.sequence_ranges] == [1, 20]
    assert not cell_info(cell(1)).HasField("sequence_range")
