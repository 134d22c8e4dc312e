"""A batch as it will be written."""

from __future__ import annotations

from tests.topology.claims.samples import NOON, batch, counting_uuids, lease, record
from topology.claims.model import Status
from topology.claims_postgresql.wanted import wanted_of


def test_every_record_is_held_by_the_lease() -> None:
    wanted = wanted_of(batch(1, ["a"], ["old"]), NOON, "CELL-1", counting_uuids())
    assert wanted.lease == lease()
    assert wanted.creates == (
        record("a", status=Status.LEASE_CREATING, lease=lease().uuid)._replace(
            uuid="00000000-0000-4000-8000-000000000002",
        ),
    )
    assert wanted.leased([record("old")]) == (
        record("old", status=Status.LEASE_DESTROYING, lease=lease().uuid),
    )


def test_all_batches_have_one_order() -> None:
    names = [f"n{number}" for number in range(20)]
    orders = [
        [each.bucket.value for each in wanted_of(batch(1, some), NOON, "", counting_uuids()).creates]
        for some in (names, reversed(names))
    ]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(names)
