"""Which cell a key belongs to."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.topology.claims.samples import LEASE_1, NOON, OTHER, OWNER, record, route
from tests.topology.samples import STAMP, cell
from topology.claims.model import Bucket, Record, Status
from topology.claims.owners import name_of
from topology.forms import format_utc
from topology.model import Cell, CellState
from topology.overrides import Action, Override, Overrides
from topology.service.classify import (
    NOTHING,
    Blocked,
    ByCellId,
    ByClaims,
    BySessionPrefix,
    ClassificationKey,
    Decision,
    FirstCell,
    NoCell,
    Overruled,
    Routed,
    classify,
    is_routed,
    overruled,
)
from topology.view import View

ONE, TWO = cell(1), cell(2, session_prefix="two")


def decide(
    key: ClassificationKey, *cells: Cell, claims: tuple[Record, ...] = (), by_hand: Overruled = NOTHING
) -> Decision:
    view = View(cells={each.id: each for each in cells or (ONE, TWO)})
    return classify(view, {each.bucket: each for each in claims}.get, key, by_hand)


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


def another(value: str) -> Record:
    found = record(value, 1)
    return found._replace(metadata=found.metadata._replace(subject=OTHER))


def override(name: str, action: Action, cell_id: int = 0) -> Override:
    return Override(
        name=name, action=action, until=NOON + timedelta(seconds=90), cell_id=cell_id, stamp=STAMP
    )


def in_force(*overrides: Override, at: datetime = NOON) -> Overruled:
    owners = {each.name: each for each in overrides if each.action is not Action.PASS}
    cells = {each.cell_id: each for each in overrides if each.action is Action.PASS}
    return overruled(Overrides(owners, cells), at)


def test_an_owner_is_where_operators_pin_it_until_that_ends() -> None:
    claims = (record("a", 2), another("b"))
    pinned = override(name_of(OWNER), Action.PIN, 1)
    assert decide(claimed("a"), claims=claims, by_hand=in_force(pinned)) == Routed(ONE, route("a"), 90)
    assert decide(claimed("b"), claims=claims, by_hand=in_force(pinned)) == Routed(ONE, route("b"))
    over = in_force(pinned, at=NOON + timedelta(seconds=90))
    assert decide(claimed("a"), claims=claims, by_hand=over) == Routed(TWO, route("a"))
    nowhere = in_force(override(name_of(OWNER), Action.PIN, 9))
    assert decide(claimed("a", "b"), claims=claims, by_hand=nowhere) == Routed(ONE, route("b"))


def test_an_owner_that_operators_block_is_refused_whatever_else_is_claimed() -> None:
    claims = (record("a", 2), another("b"))
    blocked = in_force(override(name_of(OWNER), Action.BLOCK))
    refused = Blocked(route("a"), name_of(OWNER), format_utc(NOON + timedelta(seconds=90)))
    assert decide(claimed("x", "a", "b"), claims=claims, by_hand=blocked) == refused
    assert decide(claimed("b", "a"), claims=claims, by_hand=blocked) == Routed(ONE, route("b"))
    # Only a claim tells the owner.
    assert decide(ByCellId(2), claims=claims, by_hand=blocked) == Routed(TWO)


@pytest.mark.parametrize("key", [claimed("a"), ByCellId(2), BySessionPrefix("two")])
def test_a_cell_that_operators_pass_over_is_no_answer(key: ClassificationKey) -> None:
    passed = in_force(override("cell/2", Action.PASS, 2))
    answer = decide(key, claims=(record("a", 2),), by_hand=passed)
    assert answer == NoCell("cell 2 is passed over by an operator")


def test_the_first_cell_is_one_that_operators_do_not_pass_over() -> None:
    assert decide(FirstCell(), by_hand=in_force(override("cell/1", Action.PASS, 1))) == Routed(TWO)
    both = in_force(override("cell/1", Action.PASS, 1), override("cell/2", Action.PASS, 2))
    assert decide(FirstCell(), by_hand=both) == NoCell("no cell serves")


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
