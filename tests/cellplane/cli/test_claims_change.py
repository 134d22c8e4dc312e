"""`cellplane claims …` against a Topology Service: what changes something."""

from __future__ import annotations

import json

import pytest

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.test_claims import Claims, claims, topology
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.service.test_claim_service import begin

__all__ = ["claims", "topology"]  # fixtures


@pytest.fixture
def lease(topology: Topology) -> str:
    """Open a lease of cell 2 on `held`, as a cell would that died over it."""

    async def leased() -> str:
        return await begin(topology.stage.client(), 2, ["held"])

    lease = topology.do(leased())
    topology.caught_up()
    return lease


def test_values_are_claimed_and_given_up(claims: Claims) -> None:
    made = claims("create", "--cell", "2", "ROUTES", "a", "b")
    assert made.stdout == "ROUTES a: claimed by cell 2\nROUTES b: claimed by cell 2\n"
    gone = json.loads(claims("destroy", "--cell", "2", "ROUTES", "a", "b", "-o", "json").stdout)
    assert (gone["done"], gone["claims"]) == (True, ["ROUTES a", "ROUTES b"])
    claims("get", "ROUTES", "a", expect=Exit.NOT_FOUND)


def test_who_did_it_is_kept(claims: Claims, topology: Topology) -> None:
    claims("create", "--cell", "2", "ROUTES", "a")
    (record,) = topology.do(topology.stage.store.list("/service-claims/")).records
    assert b'"updated_by": "ada"' in record.value


def test_one_that_is_taken_stops_all(claims: Claims) -> None:
    claims("create", "--cell", "2", "ROUTES", "a")
    refused = claims("create", "--cell", "1", "ROUTES", "b", "a", expect=Exit.REFUSED)
    assert refused.stderr == 'Error: ROUTES "a" is already claimed by cell 2.\n'
    claims("get", "ROUTES", "b", expect=Exit.NOT_FOUND)
    assert (
        "only the owner destroys"
        in claims("destroy", "--cell", "1", "ROUTES", "a", expect=Exit.REFUSED).stderr
    )


def test_one_that_is_leased_is_a_lost_race(claims: Claims, lease: str) -> None:
    assert lease in claims("leases", "--cell", "2").stdout
    refused = claims("create", "--cell", "1", "ROUTES", "held", expect=Exit.CONFLICT)
    assert "try again later" in refused.stderr


def test_a_lease_is_committed(claims: Claims, lease: str) -> None:
    wrong = claims("commit", "--cell", "1", lease, expect=Exit.REFUSED)
    assert "does not belong to cell 1" in wrong.stderr
    assert "what it created stays" in claims("commit", "--cell", "2", lease).stdout
    assert "status   ACTIVE" in claims("get", "ROUTES", "held").stdout


def test_a_lease_is_rolled_back(claims: Claims, lease: str) -> None:
    claims("rollback", "--cell", "2", lease)
    claims("get", "ROUTES", "held", expect=Exit.NOT_FOUND)
    assert "is no UUID" in claims("rollback", "--cell", "2", "nonsense", expect=Exit.REFUSED).stderr


def test_a_subject_that_is_none(claims: Claims) -> None:
    for odd in ("42", "cat/42", "user/x"):
        result = claims("create", "--cell", "2", "ROUTES", "a", "--subject", odd, expect=Exit.USAGE)
        assert "write TYPE/ID" in result.stderr
