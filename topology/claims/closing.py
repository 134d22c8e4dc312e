"""How a lease ends, spelled as transactions: records kept or dropped, generations written, parts divided.

`stored` and `large` ask for them once the end is decided, and commit them. It reads no clock. Third road:
plans the `Txn`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from topology import forms
from topology.claims import generations
from topology.claims.codec import encode_lease, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, Lease, Phase, Record, Status
from topology.claims.plan import MAX_RECORDS_PART, part_value
from topology.model import Stamp
from topology.store import MAX_TXN_OPERATIONS, Compare, Txn


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a lease ends: kept or taken back, when, and by whom."""

    commit: bool
    now: datetime
    by: str


def at_once(
    lease: Lease, records: Iterable[Record], closing: Closing
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Divide the records of a lease into those that one transaction closes, and those left for the next.

    Beside each record that goes, its generation is written; so 126 of them may not go together.
    """
    taken: list[Record] = []
    touched: set[int] = set()
    rest = [record for record in records if record.lease == lease.uuid]  # others were mended by hand
    for at, record in enumerate(rest):
        more = touched if _stays(record, closing) else touched | {generations.slot(record.bucket)}
        if len(taken) + 2 + len(more) > MAX_TXN_OPERATIONS:
            return tuple(taken), tuple(rest[at:])
        taken.append(record)
        touched = more
    return tuple(taken), ()


@dataclass(frozen=True, slots=True)
class Ends:
    """What becomes of records: some stay, as they are from then on, some go."""

    stay: tuple[Record, ...] = ()
    go: tuple[Bucket, ...] = ()


def ends(records: Iterable[Record], closing: Closing) -> Ends:
    """Say what becomes of records of a lease."""
    stay: list[Record] = []
    go: list[Bucket] = []
    active = Status.ACTIVE
    for each in records:
        if _stays(each, closing):
            stay.append(each._replace(status=active, lease="", updated_at=closing.now, updated_by=closing.by))
        else:
            go.append(each.bucket)
    return Ends(tuple(stay), tuple(go))


def close(
    keyspace: ClaimKeyspace,
    lease: Lease,
    revision: int,
    ended: Ends,
    closing: Closing,
    part: tuple[str, int] | None = None,
    left: tuple[Record, ...] = (),
) -> Txn:
    """Plan the end of a lease, or of one of its parts (its key and revision); `left` stays in the part.

    No record can have changed while the lease did not. `ended` are the records that `at_once` gives; those
    that stay are put first, in their order.
    """
    key = keyspace.lease(lease.uuid)
    puts = [(keyspace.record(each.metadata.bucket), encode_record(each)) for each in ended.stay]
    deletes = [keyspace.record(bucket) for bucket in ended.go]
    compares = [Compare(key, revision)]
    if part is not None:
        compares.append(Compare(*part))
    if part is not None and left:
        puts.append((part[0], part_value(left)))
    else:
        deletes.append(key if part is None else part[0])
    if ended.go:
        word = "committed" if closing.commit else "rolled back"
        stamp = Stamp(
            updated_by=closing.by,
            updated_at=forms.format_utc(closing.now),
            reason=f"lease {lease.uuid} of cell {lease.cell_id} was {word}",
        )
        puts += generations.rewritten(keyspace.topology, ended.go, stamp)
    return Txn(compares=tuple(compares), puts=tuple(puts), deletes=tuple(deletes))


def decide_in_parts(
    keyspace: ClaimKeyspace, lease: Lease, revision: int, records: tuple[Record, ...], closing: Closing
) -> Txn:
    """Plan the decision on a lease that began whole, and that one transaction can't close: its records go
    into parts.
    """
    held = [record for record in records if record.lease == lease.uuid]
    parts = [held[at : at + MAX_RECORDS_PART] for at in range(0, len(held), MAX_RECORDS_PART)]
    told = decided(replace(lease, creates=(), destroys=(), parts=len(parts)), closing)
    key = keyspace.lease(lease.uuid)
    return Txn(
        compares=(Compare(key, revision),),
        puts=(
            (key, encode_lease(told)),
            *((keyspace.part(lease.uuid, at), part_value(part)) for at, part in enumerate(parts)),
        ),
    )


def decided(lease: Lease, closing: Closing) -> Lease:
    """Give a lease whose end is decided, while its records are still to be rewritten."""
    phase = Phase.COMMITTING if closing.commit else Phase.ROLLING_BACK
    return replace(lease, phase=phase, updated_at=closing.now, updated_by=closing.by)


def _stays(record: Record, closing: Closing) -> bool:
    return (record.status is Status.LEASE_CREATING) == closing.commit
