"""Our own PlacementService, through a real client."""

from __future__ import annotations

import asyncio
import logging
import uuid

import grpc
import pytest

from pb.cellplane.topology.v1 import placement_pb2 as wire
from pb.cellplane.topology.v1 import transfer_pb2
from tests.processes import eventually
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure
from tests.topology.service.test_claim_service import begin, commit, request
from topology.service import placement_follower
from topology.store import Txn


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
    for key in ("", "x" * 257):
        for call in (
            client.placements.Release(wire.ReleaseRequest(request_key=key)),
            client.placements.GetPlacement(wire.GetPlacementRequest(request_key=key)),
        ):
            refused = await failure(call)
            assert (refused.code, list(refused.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["request_key"])
    gone = await failure(client.placements.GetPlacement(wire.GetPlacementRequest(request_key="signup-1")))
    assert gone.code is grpc.StatusCode.NOT_FOUND


async def test_a_dry_run_tells_and_reserves_nothing(client: Client) -> None:
    answer = await client.placements.Place(wire.PlaceRequest(request_key="signup-1", dry_run=True))
    assert (answer.cell_id in (1, 2), answer.revision) == (True, 0)
    occupancy = (await client.placements.GetOccupancy(wire.GetOccupancyRequest())).cells
    assert not any(each.placed for each in occupancy)


async def test_places_follow_owners_that_were_transferred_and_the_rest_goes_on_where_one_cannot_be_read(
    stage: Stage, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement_follower, "FOLLOW_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "topology.audit")
    await stage.put(cell(1), cell(2, weight=0))
    for key, owner in (("signup-1", "NAMESPACE/42"), ("signup-2", "NAMESPACE/7")):
        await client.placements.Place(wire.PlaceRequest(request_key=key, owner=owner, reason="signup"))
    other = request(1, ["other"])
    other.create_records[0].subject.id = 7
    await commit(client, 1, (await client.claims.BeginUpdate(other)).lease_uuid.value)
    await commit(client, 1, await begin(client, 1, ["acme"]))
    await stage.caught_up()
    broken = f"{stage.keyspace.prefix}-placements/owners/NAMESPACE/7"
    # As a release left it that didn't note owners yet.
    unnoted = f"{stage.keyspace.prefix}-placements/owners/NAMESPACE/42"
    await stage.store.commit(Txn(puts=((broken, b"{}"),), deletes=(unnoted,)))
    owners = [
        transfer_pb2.OwnerAtEpoch(owner=name, expected_epoch=1) for name in ("NAMESPACE/7", "NAMESPACE/42")
    ]
    wish_ = transfer_pb2.TransferRequest(
        request_id=str(uuid.uuid4()), owners=owners, from_cell=1, to_cell=2, reason="room"
    )
    await client.transfers.Transfer(wish_)

    async def followed() -> bool:
        cells = (await client.placements.GetOccupancy(wire.GetOccupancyRequest())).cells
        return [(each.cell_id, each.placed) for each in cells] == [(1, 1), (2, 1), (3, 0)]

    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(stage.server.sweep())
        await eventually(followed, "the place to be in cell 2")
        sweeping.cancel()
    found = await client.placements.GetPlacement(wire.GetPlacementRequest(request_key="signup-1"))
    assert (found.cell_id, found.reason) == (2, "room")
    assert "placement_followed owner=NAMESPACE/42 key=signup-1 from=1 to=2" in caplog.text
    assert "placement_not_followed owner=NAMESPACE/7" in caplog.text
    assert "placements_noted count=1 by=topology-service" in caplog.text


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
