"""What lies at a claim's key."""

from __future__ import annotations

from tests.topology.claims.samples import LEASE_1, OWNER, lease, owner, record, route
from topology.claims.codec import encode_lease, encode_part, encode_record
from topology.claims.entries import entries_of, entry_of, removal_of
from topology.claims.keys import ClaimKeyspace
from topology.claims.owner_codec import encode_owner
from topology.claims.owners import OwnerGone
from topology.claims.store import Gone, LeaseGone, Odd
from topology.keys import Keyspace
from topology.store import Event, EventKind, Record

KEYS = ClaimKeyspace.beside(Keyspace("/c"))


def stored(key: str, value: bytes) -> Record:
    return Record(key, value, 1, 1, 1)


def test_records_and_leases_are_read() -> None:
    assert entry_of(KEYS, stored(KEYS.record(route("a")), encode_record(record("a")))) == record("a")
    assert entry_of(KEYS, stored(KEYS.lease(LEASE_1), encode_lease(lease()))) == lease()


def test_owners_are_read() -> None:
    key = KEYS.owner(OWNER)
    assert entry_of(KEYS, stored(key, encode_owner(owner()))) == owner()
    assert removal_of(KEYS, key) == OwnerGone(OWNER)
    odd = entry_of(KEYS, stored(key, b"[]"))
    assert odd == Odd(key, "record: is no JSON object", "NAMESPACE/42")


def test_parts_and_transfers_say_nothing_new() -> None:
    assert entry_of(KEYS, stored(KEYS.transfer(LEASE_1), b"whatever")) is None
    assert removal_of(KEYS, KEYS.transfer(LEASE_1)) is None
    assert entry_of(KEYS, stored(KEYS.part(LEASE_1, 0), encode_part((), ()))) is None
    assert removal_of(KEYS, KEYS.part(LEASE_1, 0)) is None


def test_what_cannot_be_read_is_named_with_the_reason() -> None:
    key = KEYS.record(route("a"))
    assert entry_of(KEYS, stored(key, b"{}")) == Odd(
        key, "schema: is missing: every field must be there", route("a")
    )
    key = KEYS.lease(LEASE_1)
    assert entry_of(KEYS, stored(key, b"[]")) == Odd(key, "record: is no JSON object", LEASE_1)
    odd = Odd("/c-claims/x", "nothing of this version lives at this key", "/c-claims/x")
    assert entry_of(KEYS, stored("/c-claims/x", b"")) == odd


def test_events_come_in_their_order() -> None:
    put = stored(KEYS.record(route("a")), encode_record(record("a")))
    events = (
        Event(EventKind.PUT, put.key, 5, put),
        Event(EventKind.DELETE, KEYS.part(LEASE_1, 0), 5),
        Event(EventKind.DELETE, KEYS.record(route("b")), 5),
        Event(EventKind.DELETE, KEYS.lease(LEASE_1), 5),
        Event(EventKind.DELETE, "/c-claims/x", 5),
    )
    assert entries_of(KEYS, events) == (
        record("a"),
        Gone(route("b")),
        LeaseGone(LEASE_1),
        Odd("/c-claims/x", "", "/c-claims/x"),
    )
