"""`cellplane claims owner` and `claims transfer` against a Topology Service."""

from __future__ import annotations

import json
import uuid

import pytest

from cellplane.cli.outcome import Exit
from pb.cellplane.topology.v1 import placement_pb2
from tests.cellplane.cli.test_claims import Claims, claims, topology
from tests.cellplane.cli.topology_thread import Topology
from tests.topology.samples import cell
from tests.topology.service.test_claim_service import begin

__all__ = ["claims", "topology"]  # fixtures
MOVE = ("transfer", "organization/42", "--from", "1", "--to", "2", "--expected-epoch", "1")


@pytest.fixture(autouse=True)
def acme(claims: Claims) -> None:
    claims("create", "--cell", "1", "ROUTES", "acme", "acme/web", "--subject", "organization/42")


def test_an_owner_is_shown(claims: Claims) -> None:
    shown = claims("owner", "organization/42").stdout
    assert "cell         1\n" in shown
    assert "epoch        1\n" in shown
    assert "claims       2\n" in shown
    assert "moved        never\n" in shown
    claims(*MOVE, "--yes", "--reason", "room")
    shown = claims("owner", "ORGANIZATION/42").stdout
    assert "cell         2\n" in shown
    assert " by ada\n" in shown
    assert "reason       room\n" in shown
    assert json.loads(claims("owner", "ORGANIZATION/42", "-o", "json").stdout)["cells"] == ["2"]
    claims("owner", "USER/1", expect=Exit.NOT_FOUND)


def test_a_dry_run_moves_nothing(claims: Claims) -> None:
    assert claims(*MOVE, "--dry-run").stdout == (
        "would: ORGANIZATION/42: cell 1 -> cell 2, epoch 1 -> 2\nwould: 2 claims go along\n"
    )
    assert "cell         1\n" in claims("owner", "ORGANIZATION/42").stdout


def test_a_full_cell_is_named_and_forced(claims: Claims, topology: Topology) -> None:
    topology.do(topology.stage.put(cell(1, weight=0), cell(2, capacity=1)))
    claims(*MOVE, "--dry-run")
    place = placement_pb2.PlaceRequest(request_key="a", reason="signup")

    async def taken() -> None:
        await topology.stage.client().placements.Place(place)

    topology.do(taken())
    for more in ("--dry-run", "--yes"):
        refused = claims(*MOVE, more, expect=Exit.REFUSED)
        assert "cell 2 is full: 1 of 1 places are taken, and 1 more would come" in refused.stderr
    assert "Moved at cursor" in claims(*MOVE, "--force", "--yes").stdout


def test_it_asks_first(claims: Claims) -> None:
    refused = claims(*MOVE, expect=Exit.REFUSED)
    assert "--yes" in refused.stderr
    assert "cell         1\n" in claims("owner", "ORGANIZATION/42").stdout


def test_it_is_done_once(claims: Claims) -> None:
    request = str(uuid.uuid4())
    done = claims(*MOVE, "--yes", "--request-id", request)
    assert f"by request {request}.\n" in done.stdout
    again = json.loads(claims(*MOVE, "--yes", "--request-id", request, "-o", "json").stdout)
    assert (again["done"], again["repeated"], again["records"]) == (True, True, 2)
    late = claims(*MOVE, "--yes", expect=Exit.REFUSED)
    assert "ORGANIZATION/42 is in cell 2 (epoch 2)" in late.stderr


def test_races_and_refusals(claims: Claims, topology: Topology) -> None:
    wrong = claims(*MOVE[:-1], "7", "--yes", expect=Exit.CONFLICT)
    assert "is at epoch 1, not 7" in wrong.stderr
    assert "claims owner OWNER" in wrong.stderr
    claims("create", "--cell", "1", "ROUTES", "x", "--subject", "namespace/42")

    async def leased() -> str:
        return await begin(topology.stage.client(), 1, ["held"])

    lease = topology.do(leased())
    topology.caught_up()
    held = claims("transfer", "namespace/42", *MOVE[2:], "--yes", expect=Exit.CONFLICT)
    assert lease in held.stderr
    unknown = claims("transfer", "acme", *MOVE[2:], "--yes", expect=Exit.REFUSED)
    assert "name one like ORGANIZATION/42" in unknown.stderr
