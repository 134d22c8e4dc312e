"""Our own PlacementService, through a real client."""

from __future__ import annotations

import logging

import grpc
import pytest

from pb.cellplane.topology.v1 import placement_pb2 as wire
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure


async def test_a_newcomer_is_placed_looked_up_and_released(
    stage: Stage, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.put(cell(1, capacity=10, region="eu"))
    request = wire.PlaceRequest(request_key="signup-1", region="eu", owner="ORGANIZATION/42", reason="signup")
    with caplog.at_level(logging.INFO, "topology.audit"):
        answer = await client.placements.Place(request)
    assert (answer.cell_id, answer.repeated) == (1, False)
    assert answer.why == "cell 1 is ACTIVE, the only one that can take it; 1 of 10 places are taken then"
    assert [(each.cell_id, each.words) for each in answer.considered] == [
        (2, "is in region none, not eu"),
        (3, "is PROVISIONING, which takes no newcomers"),
    ]
    assert "newcomer_placed" in caplog.text
    assert (await client.placements.Place(request)).repeated
    found = await client.placements.GetPlacement(wire.GetPlacementRequest(request_key="signup-1"))
    assert (found.cell_id, found.owner, found.region, found.reason) == (1, "ORGANIZATION/42", "eu", "signup")
    assert not found.HasField("ring")
    assert found.HasField("updated_at")
    occupancy = (await client.placements.GetOccupancy(wire.GetOccupancyRequest())).cells
    assert [(each.cell_id, each.placed, each.capacity) for each in occupancy] == [
        (1, 1, 10),
        (2, 0, 0),
        (3, 0, 0),
    ]
    released = await client.placements.Release(wire.ReleaseRequest(request_key="signup-1"))
    assert (released.found, released.cell_id) == (True, 1)
    assert not (await client.placements.Release(wire.ReleaseRequest(request_key="signup-1"))).found
    gone = await failure(client.placements.GetPlacement(wire.GetPlacementRequest(request_key="signup-1")))
    assert gone.code is grpc.StatusCode.NOT_FOUND


async def test_a_dry_run_tells_and_reserves_nothing(client: Client) -> None:
    answer = await client.placements.Place(wire.PlaceRequest(request_key="signup-1", dry_run=True))
    assert (answer.cell_id in (1, 2), answer.revision) == (True, 0)
    occupancy = (await client.placements.GetOccupancy(wire.GetOccupancyRequest())).cells
    assert not any(each.placed for each in occupancy)


async def test_no_room_says_of_each_cell_why(client: Client) -> None:
    full = await failure(client.placements.Place(wire.PlaceRequest(request_key="signup-1", ring=7)))
    assert (full.code, full.info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_ROOM")
    assert "cell 1 is in ring 0, not 7; cell 2 is in ring 0, not 7; cell 3 is PROVISIONING" in full.words


async def test_bad_wishes(client: Client) -> None:
    bad = await failure(client.placements.Place(wire.PlaceRequest()))
    assert (bad.code, list(bad.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["request_key"])
    owner = await failure(client.placements.Place(wire.PlaceRequest(request_key="a", owner="acme")))
    assert (owner.code, owner.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OWNER_INVALID")


async def test_cells_and_admins_place(guarded: Stage) -> None:
    request = wire.PlaceRequest(request_key="signup-1")
    refused = await failure(guarded.client("ROUTER-1").placements.Place(request))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    first = await guarded.client("CELL-1").placements.Place(request)
    assert (await guarded.client("ADMIN").placements.Place(request)).cell_id == first.cell_id
