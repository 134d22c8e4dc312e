"""Answers from the View and the claims in memory."""

from __future__ import annotations

import pytest

from envoy.classification import ClassificationKey, KeyType
from envoy.owners import Outcome, answer, remembered_owners
from envoy.questions import Question, Told
from tests.topology.claims.samples import LEASE_1, record, route
from tests.topology.samples import STAMP, cell
from topology.claims.index import ClaimIndex
from topology.claims.model import Record, Status
from topology.claims.owners import Owner
from topology.claims.store import Changes
from topology.model import CellState
from topology.service.classify import Lifetimes
from topology.view import View

VIEW = View(
    cells={
        each.id: each
        for each in (
            cell(1),
            cell(2, CellState.PROVISIONING),
            cell(3, CellState.QUARANTINED, previous_state=CellState.ACTIVE),
        )
    }
)
LIFETIMES = Lifetimes(found=60, not_found=5)


def asked(value: str | None, *claims: Record | Owner, at_least: int = 0) -> tuple[Told, Outcome]:
    question = Question("path", None if value is None else route(value), at_least)
    index = ClaimIndex()
    index.load(Changes(9, claims))
    return answer(VIEW, index, 9, question, LIFETIMES)


@pytest.mark.parametrize(
    ("owner", "outcome"),
    [(1, Outcome.FOUND), (3, Outcome.FOUND), (2, Outcome.NOT_SERVED), (9, Outcome.NOT_SERVED)],
)
def test_an_owner_is_told_whatever_its_state_for_envoy_knows_who_serves(owner: int, outcome: Outcome) -> None:
    assert asked("a", record("a", owner)) == (Told(owner, 1, 60), outcome)


def test_a_claim_that_is_only_leased_counts() -> None:
    assert asked("a", record("a", 1, Status.LEASE_CREATING, LEASE_1)) == (Told(1, 1, 60), Outcome.FOUND)


@pytest.mark.parametrize("value", ["b", None])
def test_what_nobody_owns_is_remembered_for_a_short_time(value: str | None) -> None:
    assert asked(value, record("a", 1)) == (Told(None, 0, 5), Outcome.NOT_FOUND)


def test_an_answer_from_claims_that_may_be_old_holds_for_a_second() -> None:
    assert asked("a", record("a", 1), at_least=10) == (Told(1, 1, 1), Outcome.BEHIND)
    assert asked("b", at_least=10) == (Told(None, 0, 1), Outcome.BEHIND)
    assert asked("a", record("a", 1), at_least=9) == (Told(1, 1, 60), Outcome.FOUND)


def test_an_owner_that_moved_has_its_epoch() -> None:
    claim = record("a", 1)
    moved = Owner(subject=claim.metadata.subject, cell_id=3, epoch=7, transfer="", stamp=STAMP)
    assert asked("a", claim, moved) == (Told(3, 7, 60), Outcome.FOUND)


def test_nobody_owns_what_is_not_remembered() -> None:
    assert remembered_owners(ClaimIndex())(ClassificationKey(KeyType.ROUTE, "acme")) is None
