"""What lies at a claim's key, read into what the port speaks of: records, leases, and what can't be read.

The ledger reads listings and events of a `Store` with it. It does no I/O. `etcd Event -> View -> Snapshot ->
Response`, its first arrow, for claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from topology.claims.codec import decode_lease, decode_record
from topology.claims.keys import ClaimKeyspace, LeaseKey, MarkKey, OwnerKey, PartKey, QuietKey, TransferKey
from topology.claims.model import Bucket
from topology.claims.owner_codec import decode_owner
from topology.claims.owners import OwnerGone, name_of
from topology.claims.store import Entry, Gone, LeaseGone, Odd
from topology.codec import Undecodable
from topology.keys import UnknownKey
from topology.store import Event, Record


def entry_of(keyspace: ClaimKeyspace, record: Record) -> Entry | None:
    """Say what was written; None where it says nothing that others don't."""
    match keyspace.parse(record.key):
        case Bucket() as bucket:
            found = decode_record(bucket, record.value)
            return Odd(record.key, found.reason, bucket) if isinstance(found, Undecodable) else found
        case LeaseKey() as key:
            lease = decode_lease(key, record.value)
            return Odd(record.key, lease.reason, key.uuid) if isinstance(lease, Undecodable) else lease
        case OwnerKey(subject) as owned:
            owner = decode_owner(owned, record.value)
            return (
                Odd(record.key, owner.reason, name_of(subject)) if isinstance(owner, Undecodable) else owner
            )
        case PartKey() | TransferKey() | QuietKey() | MarkKey():
            return None
        case UnknownKey(reason):
            return Odd(record.key, reason, record.key)


def removal_of(keyspace: ClaimKeyspace, key: str) -> Entry | None:
    """Say what a deletion took away."""
    match keyspace.parse(key):
        case Bucket() as bucket:
            return Gone(bucket)
        case LeaseKey(uuid):
            return LeaseGone(uuid)
        case OwnerKey(subject):
            return OwnerGone(subject)
        case PartKey() | TransferKey() | QuietKey() | MarkKey():
            return None
        case UnknownKey():
            return Odd(key, "", key)


def entries_of(
    keyspace: ClaimKeyspace,
    events: Iterable[Event],
    known: Callable[[str, bytes], Entry | None] = lambda _key, _value: None,
) -> tuple[Entry, ...]:
    """Say what the events of one revision did, in their order. `known` says of a key and its value what need
    not be read.
    """
    entries: list[Entry] = []
    for event in events:
        record = event.record
        if record is None:
            entry = removal_of(keyspace, event.key)
        else:
            entry = known(record.key, record.value) or entry_of(keyspace, record)
        if entry is not None:
            entries.append(entry)
    return tuple(entries)
