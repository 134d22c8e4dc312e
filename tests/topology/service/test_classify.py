"""Which cell a key belongs to."""

from __future__ import annotations

import pytest

from tests.topology.claims.samples import LEASE_1, record, route
from tests.topology.samples import cell
from topology.claims.model import Bucket, Record, Status
from topology.model import Cell, CellState
from topology.service.classify import (
    ByCellId,
    ByClaims,
    BySessionPrefix,
    ClassificationKey,
    Decision,
    FirstCell,
    NoCell,
    Routed,
    classify,
    is_routed,
)
from topology.view import View

ONE, TWO = cell(1), cell(2, session_prefix="two")


def decide(key: ClassificationKey, *cells: Cell, claims: tuple[Record, ...] = ()) -> Decision:
    view = View(cells={each.id: each for each in cells or (ONE, TWO)})
    return classify(view, {each.bucket: each for each in claims}.get, key)


def claimed(*values: str) -> ByClaims:
    return ByClaims(tuple(route(value) for value in values))


def test_the_first_claim_that_somebody_owns_decides() -> None:
    claims = (record("b", 2), record("c", 1))
    assert decide(claimed("a", "b", "c"), claims=claims) == Routed(TWO, route("b"))
    assert decide(claimed("c", "b"), claims=claims) == Routed(ONE, route("c"))
    assert decide(claimed("x", "y"), claims=claims) == NoCell("nobody claims it")


@pytest.mark.parametrize("status", [Status.LEASE_CREATING, Status.LEASE_DESTROYING])
def test_leased_claims_route(status: Status) -> None:
    assert decide(claimed("a"), claims=(record("a", 2, status, LEASE_1),)) == Routed(TWO, route("a"))


def test_an_owner_that_does_not_serve_makes_way_for_the_next_claim() -> None:
    provisioning = cell(3, CellState.PROVISIONING)
    claims = (record("a", 3), record("b", 2), record("c", 9))
    assert decide(claimed("a", "b"), ONE, TWO, provisioning, claims=claims) == Routed(TWO, route("b"))
    assert decide(claimed("a"), ONE, provisioning, claims=claims) == NoCell(
        "cell 3 is PROVISIONING and serves nobody"
    )
    assert decide(claimed("c"), ONE, claims=claims) == NoCell('ROUTES "c" is claimed by an unknown cell')


def test_the_first_cell_is_the_first_that_serves() -> None:
    assert decide(FirstCell()) == Routed(ONE)
    assert decide(FirstCell(), cell(1, CellState.DRAINED), TWO) == Routed(TWO)
    assert decide(FirstCell(), cell(1, CellState.DRAINED)) == NoCell("no cell serves")


def test_a_session_prefix_names_a_cell() -> None:
    assert decide(BySessionPrefix("two")) == Routed(TWO)
    assert decide(BySessionPrefix("cell-1")) == Routed(ONE)
    assert decide(BySessionPrefix("cell-2")) == NoCell("no cell has the session prefix 'cell-2'")


def test_an_id_names_a_cell() -> None:
    assert decide(ByCellId(2)) == Routed(TWO)
    assert decide(ByCellId(7)) == NoCell("there is no cell 7")
    assert decide(ByCellId(1), cell(1, CellState.DRAINED)) == NoCell("cell 1 is DRAINED and serves nobody")


def test_where_traffic_is_sent() -> None:
    assert {state for state in CellState if is_routed(cell(1, state))} == {
        CellState.CANARY,
        CellState.ACTIVE,
        CellState.CORDONED,
        CellState.DRAINING,
        CellState.QUARANTINED,
    }


def test_only_claims_look_anything_up() -> None:
    def find(_: Bucket) -> Record | None:
        raise AssertionError("asked")

    for key in (FirstCell(), BySessionPrefix("two"), ByCellId(1)):
        assert isinstance(classify(View(cells={1: ONE, 2: TWO}), find, key), Routed)
