"""Who changed what, from what to what, at which revision, is in the log; and nobody's address is."""

from __future__ import annotations

import logging

import pytest

from pb.cellplane.topology.v1 import cells_pb2, placement_pb2
from tests.topology.service.stage import Stage
from tests.topology.service.test_claim_service import commit, record_of, request, rollback
from topology.claims.model import Bucket, BucketType
from topology.service.audit import named, shown


async def test_each_change_says_who_what_and_when(guarded: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "topology.audit")
    admin, cell = guarded.client("ADMIN-ada"), guarded.client("CELL-1")
    weighed = await admin.cells.SetCellWeight(cells_pb2.SetCellWeightRequest(id=1, weight=7, reason="room"))
    first = await cell.claims.BeginUpdate(request(1, ["a", "b"]))
    lease = first.lease_uuid.value
    await commit(cell, 1, lease)
    second = await cell.claims.BeginUpdate(request(1, ["c"], ["a"]))
    await rollback(cell, 1, second.lease_uuid.value)
    await rollback(cell, 1, second.lease_uuid.value)

    begun = (await guarded.store.list(guarded.keyspace.registry)).revision - 3
    changed, *of_claims = [message for message in caplog.messages if "by=" in message]
    assert changed == (
        f"changed by=ADMIN-ada role=admin revision={weighed.revision} "
        "what=['cell 1: weight 100 → 7, of unowned traffic and newcomers only']"
    )
    end = f"revision={begun + 1} found=True"
    first_begun = f"cell=1 lease={lease} by=CELL-1 role=cell"
    back = f"cell=1 lease={second.lease_uuid.value} by=CELL-1 role=cell"
    assert of_claims == [
        f"lease_begun {first_begun} revision={begun} what=['+ROUTES/a', '+ROUTES/b']",
        f"lease_committed {first_begun} {end}",
        f"lease_begun {back} revision={begun + 2} what=['+ROUTES/c', '-ROUTES/a']",
        f"lease_rolled_back {back} revision={begun + 3} found=True",
        f"lease_rolled_back {back} revision=0 found=False",
    ]
    assert (await record_of(admin, "a")).cell_id == 1


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (BucketType.ROUTES, "acme", "ROUTES/acme"),
        (
            BucketType.EMAILS,
            "ada@example.com",
            "EMAILS/sha256:b5fc85e55755f9e0d030a10ab4429b6b",
        ),
        (BucketType.ROUTES, "x" * 129, "ROUTES/sha256:"),
        (BucketType.ROUTES, "ada@example.com", "ROUTES/sha256:b5fc85e55755f9e0"),
    ],
)
def test_what_says_who_somebody_is_stands_there_by_its_digest(
    kind: BucketType, value: str, text: str
) -> None:
    assert shown(Bucket(kind, value)).startswith(text)
    assert ("@" in shown(Bucket(kind, value))) is False


async def test_a_newcomers_key_that_is_an_address_is_not_spelled(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client, key = stage.client(), "ada@example.com"
    await client.placements.Place(placement_pb2.PlaceRequest(request_key=key, reason="signup"))
    await client.placements.Release(placement_pb2.ReleaseRequest(request_key=key))
    assert caplog.text.count(f"key={named(key)}") == 2
    assert key not in caplog.text
    assert named("signup-7f3a") == "signup-7f3a"
