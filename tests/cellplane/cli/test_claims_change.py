"""`cellplane claims …` against a Topology Service: what changes something."""

from __future__ import annotations

import json

import pytest

from cellplane.cli.outcome import Exit
from tests.cellplane.cli.test_claims import Claims, claims, topology
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.claims.samples import LEASE_1
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
    asked = claims("destroy", "--cell", "2", "ROUTES", "a", "b", expect=Exit.REFUSED)
    assert "Give up 2 claims of cell 2? Any cell may claim it then. needs --yes" in asked.stderr
    would = claims("destroy", "--cell", "2", "ROUTES", "a", "b", "--dry-run")
    assert would.stdout.startswith("would: ROUTES a: given up by cell 2\n")
    claims("get", "ROUTES", "a")
    gone = json.loads(claims("destroy", "--cell", "2", "ROUTES", "a", "b", "--yes", "-o", "json").stdout)
    assert (gone["done"], gone["claims"]) == (True, ["ROUTES a", "ROUTES b"])
    claims("get", "ROUTES", "a", expect=Exit.NOT_FOUND)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("WWW.Acme.io", "Write 'www.acme.io'."),
        ("acme.io.", "Write 'acme.io'."),
        ("bücher.example", "Write 'xn--bcher-kva.example'."),
        ("acme.io:443", "'acme.io:443' is neither an IP address nor a DNS name"),
        ("a..b", "'a..b' is no DNS name: a part of it is empty"),
    ],
)
def test_a_host_is_claimed_as_requests_name_it(claims: Claims, written: str, words: str) -> None:
    refused = claims("create", "--cell", "2", "pages_domains", "acme.io", written, expect=Exit.USAGE)
    assert words in refused.stderr
    claims("get", "PAGES_DOMAINS", "acme.io", expect=Exit.NOT_FOUND)


def test_other_values_are_taken_as_they_are(claims: Claims) -> None:
    made = claims("create", "--cell", "2", "ROUTES", "Acme.", "bücher")
    assert made.stdout == "ROUTES Acme.: claimed by cell 2\nROUTES bücher: claimed by cell 2\n"
    claims("create", "--cell", "2", "PAGES_DOMAINS", "xn--bcher-kva.example", "a-1")


def test_who_did_it_is_kept(claims: Claims, topology: Topology) -> None:
    claims("create", "--cell", "2", "ROUTES", "a")
    (record,) = topology.do(topology.stage.store.list("/service-claims/")).records
    assert b'"updated_by": "ada"' in record.value


def test_one_that_is_taken_stops_all(claims: Claims) -> None:
    claims("create", "--cell", "2", "ROUTES", "a")
    refused = claims("create", "--cell", "1", "ROUTES", "b", "a", expect=Exit.REFUSED)
    assert refused.stderr == 'Error: ROUTES "a" is already claimed by cell 2.\n'
    claims("get", "ROUTES", "b", expect=Exit.NOT_FOUND)
    for how in ("--yes", "--dry-run"):
        refused = claims("destroy", "--cell", "1", "ROUTES", "a", how, expect=Exit.REFUSED)
        assert "only the owner destroys" in refused.stderr


def test_one_that_is_leased_is_a_lost_race(claims: Claims, lease: str) -> None:
    assert lease in claims("leases", "--cell", "2").stdout
    refused = claims("create", "--cell", "1", "ROUTES", "held", expect=Exit.CONFLICT)
    assert "try again later" in refused.stderr


def test_a_lease_is_committed(claims: Claims, lease: str) -> None:
    wrong = claims("commit", "--cell", "1", lease, "--yes", expect=Exit.REFUSED)
    assert "does not belong to cell 1" in wrong.stderr
    assert "what it created stays" in claims("commit", "--cell", "2", lease, "--yes").stdout
    assert "status   ACTIVE" in claims("get", "ROUTES", "held").stdout


def test_a_lease_is_rolled_back(claims: Claims, lease: str) -> None:
    assert "--yes" in claims("rollback", "--cell", "2", lease, expect=Exit.REFUSED).stderr
    would = claims("rollback", "--cell", "2", lease, "--dry-run").stdout
    assert would == f"would: Lease {lease} is closed; all is as it was before.\n"
    claims("get", "ROUTES", "held")
    claims("rollback", "--cell", "2", lease, "--yes")
    claims("get", "ROUTES", "held", expect=Exit.NOT_FOUND)
    nonsense = claims("rollback", "--cell", "2", "nonsense", "--yes", expect=Exit.REFUSED)
    assert "is no UUID" in nonsense.stderr


def test_a_lease_that_is_not_open_is_told_as_such(claims: Claims) -> None:
    """Closing twice is harmless; a mistyped lease is not told to be closed."""
    for how in ("--yes", "--dry-run"):
        told = claims("rollback", "--cell", "2", LEASE_1, how)
        assert told.stdout.startswith(f"Cell 2 has no open lease {LEASE_1}, or has no more")
    assert json.loads(claims("commit", "--cell", "2", LEASE_1, "--yes", "-o", "json").stdout) == {
        "done": True, "lease": LEASE_1, "was_open": False
    }  # fmt: skip


def test_a_subject_that_is_none(claims: Claims) -> None:
    for odd in ("42", "cat/42", "user/x", "user/²", "user/9223372036854775808"):
        result = claims("create", "--cell", "2", "ROUTES", "a", "--subject", odd, expect=Exit.USAGE)
        assert "write TYPE/ID" in result.stderr
