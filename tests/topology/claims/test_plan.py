"""Transactions for claims: what they compare and write, and how large batches are divided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.topology.claims.samples import LEASE_1, NOON, batch, lease, record, route
from topology.claims import plan
from topology.claims.codec import encode_lease, encode_part, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import ClaimBatch, Phase, Status
from topology.claims.plan import Opening, Seen, SeenLease, Write
from topology.keys import Keyspace
from topology.store import Compare

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
RECORD_A = "00000000-0000-4000-9000-00000000000a"
OWNER = Compare("/c-claims/owners/NAMESPACE/42", 0)
LEASE_KEY = f"/c-claims/leases/{LEASE_1}"
QUIET = "/c-claims/quiet/1"


def opening(wanted: ClaimBatch) -> Opening:
    uuids = tuple(RECORD_A for _ in wanted.creates)
    return Opening(uuid=LEASE_1, uuids=uuids, now=NOON, by="CELL-1")


def writes(wanted: ClaimBatch, found: dict[str, int] | None = None) -> tuple[Write, ...]:
    seen = {route(value): Seen(record(value), revision) for value, revision in (found or {}).items()}
    return plan.writes(KEYS, wanted, opening(wanted), seen)


def test_a_small_batch_is_one_transaction() -> None:
    wanted = batch(1, ["new"], ["old"])
    begun = plan.lease_of(wanted, opening(wanted))
    assert begun == replace(lease(), creates=(route("new"),), destroys=(route("old"),))
    txn = plan.begin_whole(KEYS, begun, writes(wanted, {"old": 77}))
    assert txn.compares == (
        Compare(LEASE_KEY, 0),
        Compare("/c-claims/records/ROUTES/new", 0),
        Compare("/c-claims/records/ROUTES/old", 77),
        OWNER,
    )
    assert txn.deletes == (QUIET,)
    assert dict(txn.puts) == {
        LEASE_KEY: encode_lease(begun),
        "/c-claims/records/ROUTES/new": encode_record(
            record("new", status=Status.LEASE_CREATING, lease=LEASE_1)
        ),
        "/c-claims/records/ROUTES/old": encode_record(
            record("old", status=Status.LEASE_DESTROYING, lease=LEASE_1)
        ),
    }


def test_a_begin_compares_its_cell_and_deletes_its_mark_uncompared() -> None:
    cell = Compare("/c/cells/1", 9)
    for txn in (
        plan.begin_lease(KEYS, lease(), cell),
        plan.begin_whole(KEYS, lease(), writes(batch(1, ["a"])), cell=cell),
    ):
        assert cell in txn.compares
        assert txn.deletes == (QUIET,)
        assert QUIET not in {each.key for each in txn.compares}


def test_a_mark_is_put_where_there_is_none() -> None:
    txn = plan.quiet(KEYS, [1, 7])
    assert txn.compares == (Compare(QUIET, 0), Compare("/c-claims/quiet/7", 0))
    assert [key for key, _ in txn.puts] == [QUIET, "/c-claims/quiet/7"]


def test_a_destroyed_record_keeps_what_it_is() -> None:
    wanted = batch(1, destroys=["old"])
    was = record("old")._replace(created_at=NOON - timedelta(days=9), updated_by="somebody")
    (write,) = plan.writes(KEYS, wanted, opening(wanted), {route("old"): Seen(was, 5)})
    assert write.record == was._replace(
        status=Status.LEASE_DESTROYING, lease=LEASE_1, updated_at=NOON, updated_by="CELL-1"
    )


@pytest.mark.parametrize(("size", "whole", "parts"), [(125, True, 1), (126, False, 2), (1000, False, 8)])
def test_as_many_as_etcd_takes_at_once(size: int, whole: bool, parts: int) -> None:
    found = writes(batch(1, [str(number) for number in range(size)]))
    assert plan.fits(found) is whole
    divided = plan.divide(found)
    assert len(divided) == parts
    assert tuple(each for part in divided for each in part) == found
    assert max(len(part) for part in divided) == min(size, 125)  # and their owner


def test_as_many_bytes_as_etcd_takes_at_once() -> None:
    """The longest values there are: 1,024 characters of three bytes, each of which three characters spell."""
    found = writes(batch(1, [f"{number:03d}" + "✓" * 1021 for number in range(100)]))
    assert not plan.fits(found)
    divided = plan.divide(found)
    assert len(divided) > 1
    begun = replace(lease(phase=Phase.PREPARING), parts=len(divided))
    for number, part in enumerate(divided):
        txn = plan.write_part(KEYS, SeenLease(begun, 5), number, part)
        request = sum(3 * len(key) + len(value) for key, value in txn.puts)
        assert request < 1_500_000


def test_a_part_goes_with_its_lease() -> None:
    wanted = batch(1, ["a"], ["b"])
    begun = plan.lease_of(wanted, opening(wanted), parts=3)
    assert begun == replace(lease(phase=Phase.PREPARING), parts=3)
    part = writes(wanted, {"b": 9})
    txn = plan.write_part(KEYS, SeenLease(begun, 12), 2, part)
    assert txn.compares == (
        Compare(LEASE_KEY, 12),
        Compare(f"/c-claims/parts/{LEASE_1}/0002", 0),
        Compare("/c-claims/records/ROUTES/a", 0),
        Compare("/c-claims/records/ROUTES/b", 9),
        OWNER,
    )
    assert txn.puts[0] == (f"/c-claims/parts/{LEASE_1}/0002", encode_part((route("a"),), (route("b"),)))
    assert [key for key, _ in txn.puts[1:]] == ["/c-claims/records/ROUTES/a", "/c-claims/records/ROUTES/b"]


def test_a_lease_alone() -> None:
    txn = plan.change_lease(KEYS, lease(), 5)
    assert txn.compares == (Compare(LEASE_KEY, 5),)
    assert txn.puts == ((LEASE_KEY, encode_lease(lease())),)
