"""How a lease ends: what is kept, what goes, which generations rise, and what one transaction can't hold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.topology.claims.samples import LEASE_1, NOON, lease, record, route
from topology.claims.closing import Closing, Ends, at_once, close, decide_in_parts, decided, ends
from topology.claims.codec import decode_lease, decode_part, decode_record
from topology.claims.generations import slot, slots
from topology.claims.keys import ClaimKeyspace, LeaseKey, PartKey
from topology.claims.model import Phase, Status
from topology.keys import Keyspace
from topology.store import Compare

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
LEASE_KEY = f"/c-claims/leases/{LEASE_1}"
LATER = NOON + timedelta(minutes=1)
KEEP = Closing(commit=True, now=LATER, by="CELL-2")
TAKE_BACK = Closing(commit=False, now=LATER, by="CELL-2")
MANY = tuple(record(f"n{number}", status=Status.LEASE_DESTROYING, lease=LEASE_1) for number in range(126))


@pytest.mark.parametrize("commit", [True, False])
def test_closing_keeps_one_kind_and_drops_the_other(commit: bool) -> None:
    created = record("new", status=Status.LEASE_CREATING, lease=LEASE_1)
    destroyed = record("old", status=Status.LEASE_DESTROYING, lease=LEASE_1)
    mended = record("mended")
    closing = Closing(commit=commit, now=LATER, by="CELL-2")
    held, left = at_once(lease(), (created, destroyed, mended), closing)
    assert left == ()
    txn = close(KEYS, lease(), 5, ends(held, closing), closing)
    kept, dropped = ("new", "old") if commit else ("old", "new")
    assert txn.compares == (Compare(LEASE_KEY, 5),)
    assert txn.deletes == (f"/c-claims/records/ROUTES/{dropped}", LEASE_KEY)
    (key, value), generation = txn.puts
    assert key == f"/c-claims/records/ROUTES/{kept}"
    assert generation[0] == KEYS.topology.generation(slot(route(dropped)))
    active = record(kept)
    assert decode_record(route(kept), value) == active._replace(updated_at=LATER, updated_by="CELL-2")


def test_closing_a_part_leaves_the_lease() -> None:
    closing = Closing(commit=True, now=LATER, by="CELL-1")
    txn = close(KEYS, lease(), 5, Ends(), closing, ("/c-claims/parts/x/0001", 8))
    assert txn.compares == (Compare(LEASE_KEY, 5), Compare("/c-claims/parts/x/0001", 8))
    assert txn.deletes == ("/c-claims/parts/x/0001",)


def test_what_goes_takes_its_generation_along() -> None:
    gone = [record(value, status=Status.LEASE_DESTROYING, lease=LEASE_1) for value in ("a", "b")]
    txn = close(KEYS, lease(), 5, ends(gone, KEEP), KEEP)
    touched = slots((route("a"), route("b")))
    assert [key for key, _ in txn.puts] == [f"/c/generations/{each:05d}" for each in touched]
    assert json.loads(txn.puts[0][1]) == {
        "schema": 1,
        "updated_by": "CELL-2",
        "updated_at": "2026-03-01T12:01:00.000000Z",
        "reason": f"lease {LEASE_1} of cell 1 was committed",
    }
    assert not {key for key, _ in txn.puts} & {each.key for each in txn.compares}


def test_what_was_routed_and_is_taken_back_takes_its_generation_along() -> None:
    txn = close(
        KEYS,
        lease(),
        5,
        ends([record("new", status=Status.LEASE_CREATING, lease=LEASE_1)], TAKE_BACK),
        TAKE_BACK,
    )
    assert [key for key, _ in txn.puts] == [KEYS.topology.generation(slot(route("new")))]


def test_creating_writes_no_generation() -> None:
    txn = close(
        KEYS, lease(), 5, ends([record("new", status=Status.LEASE_CREATING, lease=LEASE_1)], KEEP), KEEP
    )
    assert [key for key, _ in txn.puts] == ["/c-claims/records/ROUTES/new"]


def test_records_with_their_generations_are_divided() -> None:
    taken, left = at_once(lease(), MANY, KEEP)
    assert (*taken, *left) == MANY
    assert left
    txn = close(KEYS, lease(), 5, ends(taken, KEEP), KEEP, ("/c-claims/parts/x/0001", 8), left)
    assert len(txn.puts) + len(txn.deletes) in (127, 128)
    assert "/c-claims/parts/x/0001" not in txn.deletes
    part = decode_part(PartKey(LEASE_1, 1), dict(txn.puts)["/c-claims/parts/x/0001"])
    assert part == ((), tuple(each.bucket for each in left))
    assert at_once(lease(), left, KEEP) == (left, ())


def test_records_that_stay_need_no_generations() -> None:
    assert at_once(lease(), MANY, TAKE_BACK) == (MANY, ())
    assert at_once(replace(lease(), uuid=LEASE_1[:-1] + "9"), MANY, KEEP) == ((), ())


def test_a_whole_lease_is_decided_into_parts() -> None:
    begun = replace(lease(), destroys=tuple(each.bucket for each in MANY))
    txn = decide_in_parts(KEYS, begun, 5, MANY, KEEP)
    assert txn.compares == (Compare(LEASE_KEY, 5),)
    puts = dict(txn.puts)
    told = decode_lease(LeaseKey(LEASE_1), puts[LEASE_KEY])
    assert told == replace(lease(phase=Phase.COMMITTING), parts=1, updated_at=LATER, updated_by="CELL-2")
    assert decode_part(PartKey(LEASE_1, 0), puts[f"/c-claims/parts/{LEASE_1}/0000"]) == (
        (),
        tuple(each.bucket for each in MANY),
    )


def test_a_lease_is_decided_one_way_or_the_other() -> None:
    assert decided(lease(), KEEP).phase is Phase.COMMITTING
    assert decided(lease(), TAKE_BACK).phase is Phase.ROLLING_BACK
