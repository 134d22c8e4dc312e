"""Our own TransferService, through a real client."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import replace

import grpc
import pytest

from pb.cellplane.topology.v1 import placement_pb2
from pb.cellplane.topology.v1 import transfer_pb2 as wire
from tests.topology.samples import STAMP, cell
from tests.topology.service.stage import Client, Stage, failure
from tests.topology.service.test_claim_service import begin, commit, record_of, request
from topology.apply import read_view
from topology.codec import encode
from topology.model import CellState, Departure
from topology.store import Txn

OWNER = "NAMESPACE/42"
PAST = "2020-03-01T12:00:00Z"


async def owned(stage: Stage, client: Client, values: Iterable[str], cell_id: int = 1) -> None:
    await commit(client, cell_id, await begin(client, cell_id, values))
    await stage.caught_up()


def wish(epoch: int = 1, source: int = 1, to: int = 2, **more: bool | str) -> wire.TransferRequest:
    return wire.TransferRequest(
        request_id=str(more.pop("request_id", uuid.uuid4())),
        owners=[wire.OwnerAtEpoch(owner=str(more.pop("owner", OWNER)), expected_epoch=epoch)],
        from_cell=source,
        to_cell=to,
        reason="a test",
        dry_run=bool(more.get("dry_run")),
        force=bool(more.get("force")),
    )


async def test_an_owner_goes_with_all_its_claims(
    stage: Stage, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await owned(stage, client, ["acme", "acme/web"])
    before = await client.transfers.GetOwner(wire.GetOwnerRequest(owner=OWNER))
    assert (list(before.cells), before.epoch, before.records, list(before.leases)) == ([1], 1, 2, [])
    assert not before.HasField("updated_at")
    with caplog.at_level(logging.INFO, "topology.audit"):
        answer = await client.transfers.Transfer(wish())
    assert (answer.records, answer.repeated) == (2, False)
    assert list(answer.summary) == [
        "NAMESPACE/42: cell 1 -> cell 2, epoch 1 -> 2",
        "2 claims go along",
    ]
    (line,) = [each.getMessage() for each in caplog.records]
    assert "from=1 to=2 owners=NAMESPACE/42:1->2 records=2" in line
    assert (await record_of(client, "acme")).cell_id == 2
    await stage.caught_up()
    after = await client.transfers.GetOwner(wire.GetOwnerRequest(owner=OWNER))
    assert (list(after.cells), after.epoch, after.transfer, after.reason) == ([2], 2, "", "a test")
    assert after.HasField("updated_at")


async def test_a_dry_run_says_what_would_go(stage: Stage, client: Client) -> None:
    await owned(stage, client, ["acme"])
    answer = await client.transfers.Transfer(wish(dry_run=True))
    assert (answer.cursor, answer.records) == (0, 1)
    assert (await record_of(client, "acme")).cell_id == 1


async def test_the_same_request_twice_is_one_also_if_the_cell_closed_its_doors(
    stage: Stage, client: Client
) -> None:
    await owned(stage, client, ["acme"])
    wanted = wish()
    await client.transfers.Transfer(wanted)
    await stage.put(cell(2, CellState.CORDONED))
    again = await client.transfers.Transfer(wanted)
    assert (again.repeated, again.records) == (True, 1)


async def test_refusals_are_told_apart(stage: Stage, client: Client) -> None:
    unknown = await failure(client.transfers.Transfer(wish()))
    assert (unknown.code, unknown.info.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    await owned(stage, client, ["acme"])
    epoch = await failure(client.transfers.Transfer(wish(3)))
    assert (epoch.code, epoch.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OWNER_EPOCH")
    assert epoch.words == "NAMESPACE/42 is at epoch 1, not 3: look, then try again"
    elsewhere = await failure(client.transfers.Transfer(wish(source=2, to=1)))
    assert (elsewhere.info.reason, dict(elsewhere.info.metadata)) == ("OWNER_ELSEWHERE", {"owner": OWNER})
    lease = await begin(client, 1, ["new"])
    leased = await failure(client.transfers.Transfer(wish()))
    assert (leased.info.reason, leased.info.metadata["leases"], leased.retry) == ("LEASES_OPEN", lease, True)
    owner = await client.transfers.GetOwner(wire.GetOwnerRequest(owner=OWNER))
    assert list(owner.leases) == [lease]


async def test_a_cell_that_takes_no_newcomers_is_refused_unless_forced(stage: Stage, client: Client) -> None:
    await owned(stage, client, ["acme"])
    refused = await failure(client.transfers.Transfer(wish(to=3)))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
    assert refused.fields == {
        "to_cell": "cell 3 is PROVISIONING, which takes no newcomers: name another, or force it"
    }
    nowhere = await failure(client.transfers.Transfer(wish(to=9, force=True)))
    assert nowhere.fields == {"to_cell": "there is no cell 9: name one that is there"}
    await client.transfers.Transfer(wish(to=3, force=True))
    assert (await record_of(client, "acme")).cell_id == 3


async def test_a_cell_that_is_full_is_refused_unless_forced(stage: Stage, client: Client) -> None:
    await owned(stage, client, ["acme"])
    await stage.put(cell(1, weight=0), cell(2, capacity=1))
    await client.placements.Place(placement_pb2.PlaceRequest(request_key="a", reason="signup"))
    for dry_run in (True, False):
        refused = await failure(client.transfers.Transfer(wish(dry_run=dry_run)))
        assert (refused.code, refused.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
        assert refused.fields == {
            "to_cell": "cell 2 is full: 1 of 1 places are taken, and 1 more would come: "
            "raise its capacity, name another cell, or force it"
        }
    assert (await record_of(client, "acme")).cell_id == 1
    wanted = wish(force=True)
    await client.transfers.Transfer(wanted)
    assert (await record_of(client, "acme")).cell_id == 2
    wanted.force = False  # what was done is told, full or not
    assert (await client.transfers.Transfer(wanted)).repeated


async def test_a_wish_that_cannot_be_right(client: Client) -> None:
    bad = await failure(client.transfers.Transfer(wish(0, request_id="7", to=1)))
    assert bad.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(bad.fields) == {"request_id", "owners[0].expected_epoch", "to_cell"}
    unknown = await failure(client.transfers.Transfer(wish(owner="acme")))
    assert unknown.words == "owners[0].owner: 'acme' is no owner: name one like ORGANIZATION/42"
    nobody = await failure(client.transfers.GetOwner(wire.GetOwnerRequest(owner="USER/1")))
    assert nobody.code is grpc.StatusCode.NOT_FOUND


async def test_the_cell_that_an_owner_left_is_told_so(stage: Stage, client: Client) -> None:
    await owned(stage, client, ["acme"])
    await client.transfers.Transfer(wish())
    away = await failure(client.claims.BeginUpdate(request(1, ["new"])))
    assert (away.code, away.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OWNER_ELSEWHERE")
    assert away.words == "NAMESPACE/42 is in cell 2 (epoch 2)"


async def test_old_departures_are_forgotten(stage: Stage, client: Client) -> None:
    stamp = replace(STAMP, updated_at=PAST)
    old = Departure(owner="USER/9", from_cell=1, to_cell=2, epoch=2, stamp=stamp)
    key = stage.keyspace.departure("USER/9")
    await stage.store.commit(Txn(puts=((key, encode(old)),)))
    await owned(stage, client, ["acme"])
    await stage.put(cell(4))  # and the service has seen all of it
    await client.transfers.Transfer(wish())
    view = await read_view(stage.store, stage.keyspace)
    assert list(view.departed) == [OWNER]


async def test_only_admins_transfer(guarded: Stage) -> None:
    for name in ("CELL-1", "ROUTER-1"):
        refused = await failure(guarded.client(name).transfers.Transfer(wish()))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    unknown = await failure(guarded.client("ADMIN-ada").transfers.Transfer(wish()))
    assert unknown.code is grpc.StatusCode.NOT_FOUND


async def test_a_claim_store_that_cannot_transfer_says_so(stage: Stage, client: Client) -> None:
    stage.server._transfers._gate = None
    refused = await failure(client.transfers.Transfer(wish()))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNIMPLEMENTED, "TRANSFER_UNAVAILABLE")


async def test_whom_a_cell_has_is_told_with_the_most_claims_first(stage: Stage, client: Client) -> None:
    await owned(stage, client, ["acme", "acme/web"])
    other = request(1, ["initech"])
    other.create_records[0].subject.id = 7
    await commit(client, 1, (await client.claims.BeginUpdate(other)).lease_uuid.value)
    await stage.caught_up()
    found = await client.transfers.ListOwners(wire.ListOwnersRequest(cell_id=1))
    assert [(each.owner, each.epoch, each.records) for each in found.owners] == [
        ("NAMESPACE/42", 1, 2),
        ("NAMESPACE/7", 1, 1),
    ]
    assert (found.total, found.records) == (2, 3)
    first = await client.transfers.ListOwners(wire.ListOwnersRequest(cell_id=1, limit=1))
    assert (len(first.owners), first.total) == (1, 2)
    await client.transfers.Transfer(wish())
    await stage.caught_up()
    moved = await client.transfers.ListOwners(wire.ListOwnersRequest(cell_id=2))
    assert [(each.owner, each.epoch) for each in moved.owners] == [("NAMESPACE/42", 2)]
    wrong = await failure(client.transfers.ListOwners(wire.ListOwnersRequest(cell_id=1, limit=-1)))
    assert "limit: -1 is out of range" in wrong.words
