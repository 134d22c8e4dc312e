"""A transfer as transactions: what they compare and write. The contract shows that they hold together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.topology.claims.samples import LEASE_2, NOON, OTHER, OWNER, STAMP, owner, record, route, transfer
from topology.claims import transfer_plan
from topology.claims.codec import decode_record
from topology.claims.generations import slots
from topology.claims.keys import ClaimKeyspace, OwnerKey
from topology.claims.model import Subject
from topology.claims.owner_codec import decode_owner, encode_owner, encode_transfer
from topology.claims.owners import Owner, TransferPhase
from topology.claims.plan import Seen, SeenOwner
from topology.claims.transfer import TransferWish
from topology.codec import decode
from topology.keys import DepartureKey, Keyspace
from topology.model import Departure
from topology.store import Compare, Txn

KEYS = ClaimKeyspace.beside(Keyspace("/c"))
KEY = f"/c-claims/transfers/{LEASE_2}"
HELD = transfer(TransferPhase.PREPARING, (OWNER, 1), (OTHER, 3))
MOVED = replace(HELD, phase=TransferPhase.MOVED)


def owner_in(txn: Txn, subject: Subject) -> Owner:
    found = decode_owner(OwnerKey(subject), dict(txn.puts)[KEYS.owner(subject)])
    assert isinstance(found, Owner)
    return found


def test_owners_are_held_as_they_were_seen() -> None:
    wish = TransferWish(id=LEASE_2, owners=HELD.owners, from_cell=1, to_cell=2, reason="a test")
    assert transfer_plan.transfer_of(wish, NOON, "ADMIN") == HELD
    seen = {OTHER: SeenOwner(owner(1, 3, subject=OTHER), 77)}
    txn = transfer_plan.hold(KEYS, HELD, seen)
    assert txn.compares == (
        Compare(KEY, 0),
        Compare("/c-claims/owners/NAMESPACE/42", 0),
        Compare("/c-claims/owners/ORGANIZATION/7", 77),
    )
    assert dict(txn.puts)[KEY] == encode_transfer(HELD)
    assert owner_in(txn, OWNER) == owner(1, 1, LEASE_2)
    assert owner_in(txn, OTHER) == owner(1, 3, LEASE_2, OTHER)


def test_one_write_moves_all() -> None:
    later = NOON + timedelta(seconds=2)
    moved, txn = transfer_plan.switch(KEYS, HELD, 80, [route("a"), route("b")], later)
    assert txn.compares == (Compare(KEY, 80),)
    assert (moved.phase, moved.slots) == (TransferPhase.MOVED, ())
    assert dict(txn.puts)[KEY] == encode_transfer(moved)
    stamp = replace(STAMP, updated_at="2026-03-01T12:00:02.000000Z")
    assert owner_in(txn, OWNER) == replace(owner(2, 2, LEASE_2), stamp=stamp)
    assert owner_in(txn, OTHER) == replace(owner(2, 4, LEASE_2, OTHER), stamp=stamp)
    left = decode(DepartureKey("ORGANIZATION/7"), dict(txn.puts)["/c/departed/ORGANIZATION/7"])
    assert left == Departure(owner="ORGANIZATION/7", from_cell=1, to_cell=2, epoch=4, stamp=stamp)
    written = {key for key, _ in txn.puts if "/generations/" in key}
    assert written == {KEYS.topology.generation(slot) for slot in slots([route("a"), route("b")])}


def test_generations_that_have_no_room_are_written_next() -> None:
    buckets = [route(str(number * 7919)) for number in range(256)]
    moved, txn = transfer_plan.switch(KEYS, HELD, 80, buckets, NOON)
    assert len(txn.puts) + len(txn.deletes) == 128
    assert len(moved.slots) == 256 - 122
    rest, second = transfer_plan.write_slots(KEYS, moved, 81)
    assert second.compares == (Compare(KEY, 81),)
    assert (len(second.puts), len(rest.slots)) == (128, 7)
    last, third = transfer_plan.write_slots(KEYS, rest, 82)
    assert (len(third.puts), last.slots) == (8, ())


def test_records_are_rewritten_where_they_are_of_the_owners_and_not_there_yet() -> None:
    other = record("x")._replace(metadata=record("x").metadata._replace(subject=OTHER._replace(id=8)))
    found = [Seen(record("a"), 5), Seen(record("b", 2), 6), Seen(other, 7)]
    (write,) = transfer_plan.rewrites(KEYS, MOVED, found)
    assert (write.key, write.revision) == ("/c-claims/records/ROUTES/a", 5)
    assert decode_record(route("a"), write.value) == record("a", 2)._replace(updated_by="ADMIN")
    txn = transfer_plan.rewrite_part(KEYS, MOVED, 80, ("/c-claims/parts/x/0000", 79), [write])
    assert txn.compares == (Compare(KEY, 80), Compare("/c-claims/parts/x/0000", 79), Compare(write.key, 5))
    assert txn.deletes == ("/c-claims/parts/x/0000",)


def test_many_parts_are_listed_in_few_writes() -> None:
    found = [Seen(record(f"n{number}"), 5) for number in range(3)]
    parts = [transfer_plan.rewrites(KEYS, MOVED, found)] * 300
    txns = list(transfer_plan.list_parts(KEYS, HELD, 80, parts))
    assert [len(txn.puts) for txn in txns] == [127, 127, 46]
    assert all(txn.compares == (Compare(KEY, 80),) for txn in txns)
    wide = [transfer_plan.rewrites(KEYS, MOVED, [Seen(record("✓" * 1000 + str(at)), 5) for at in range(120)])]
    assert [len(txn.puts) for txn in transfer_plan.list_parts(KEYS, HELD, 80, wide * 10)] == [2] * 5


def test_it_ends_with_its_owners_let_go() -> None:
    txn = transfer_plan.finish(KEYS, MOVED, 90)
    assert dict(txn.puts)[KEY] == encode_transfer(replace(MOVED, phase=TransferPhase.DONE))
    assert (owner_in(txn, OWNER), owner_in(txn, OTHER)) == (owner(2, 2), owner(2, 4, "", OTHER))


def test_what_is_given_up_leaves_owners_as_they_were() -> None:
    held = [owner(1, 1, LEASE_2), owner(1, 3, LEASE_2, OTHER), owner(1, 5, subject=OTHER._replace(id=9))]
    txn = transfer_plan.let_go(KEYS, HELD, 90, held)
    assert txn.compares == (Compare(KEY, 90),)
    assert txn.deletes == (KEY, "/c-claims/owners/NAMESPACE/42")
    assert txn.puts == (("/c-claims/owners/ORGANIZATION/7", encode_owner(owner(1, 3, "", OTHER))),)
    dropped = transfer_plan.drop_parts(KEYS, HELD, 90, ["/c-claims/parts/x/0000"])
    assert (dropped.compares, dropped.deletes) == ((Compare(KEY, 90),), ("/c-claims/parts/x/0000",))
