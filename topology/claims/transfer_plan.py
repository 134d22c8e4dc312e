"""A transfer spelled as transactions: hold the owners, list their claims, move all in one write, rewrite.

`transferring` commits them. It reads no clock. Third road: plans the `Txn`.

How a transfer stays whole: owners are held first, by a mark in their records, which every begin compares; so
what is claimed for them can only become less. One write then gives all of them their new cell and epoch: from
it on their claims are there, whatever each says itself. What they say is rewritten part by part, by anybody.
Whoever gives a transfer up changes it first, and every write of it compares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from topology import forms
from topology.claims import generations
from topology.claims.codec import encode_part, encode_record
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Bucket, Subject
from topology.claims.owner_codec import encode_owner, encode_transfer
from topology.claims.owners import FIRST_EPOCH, Owner, Transfer, TransferPhase, name_of
from topology.claims.plan import Seen, SeenOwner, Write
from topology.claims.transfer import TransferWish
from topology.codec import encode
from topology.model import Departure, Stamp
from topology.store import MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Compare, Txn

_ROOM: Final = MAX_TXN_BYTES - 50_000  # for the transfer itself
_PARTS_AT_ONCE: Final = MAX_TXN_OPERATIONS - 1  # beside the transfer
_SLOTS_AT_ONCE: Final = MAX_TXN_OPERATIONS - 1


def transfer_of(wish: TransferWish, now: datetime, by: str) -> Transfer:
    """Give the record of a transfer that begins to be prepared."""
    return Transfer(
        id=wish.id,
        phase=TransferPhase.PREPARING,
        from_cell=wish.from_cell,
        to_cell=wish.to_cell,
        owners=wish.owners,
        records=0,
        slots=(),
        created_at=now,
        stamp=Stamp(updated_by=by, updated_at=forms.format_utc(now), reason=wish.reason),
    )


def hold(keyspace: ClaimKeyspace, transfer: Transfer, owners: Mapping[Subject, SeenOwner]) -> Txn:
    """Plan the transfer, and its mark on every owner, as these were seen."""
    key = keyspace.transfer(transfer.id)
    held = (
        replace(owners[subject].owner, transfer=transfer.id)
        if subject in owners
        else _owner(transfer, subject, FIRST_EPOCH)
        for subject, _ in transfer.owners
    )
    return Txn(
        compares=(
            Compare(key, 0),
            *(
                Compare(keyspace.owner(subject), owners[subject].revision if subject in owners else 0)
                for subject, _ in transfer.owners
            ),
        ),
        puts=(
            (key, encode_transfer(transfer)),
            *((keyspace.owner(owner.subject), encode_owner(owner)) for owner in held),
        ),
    )


def rewrites(keyspace: ClaimKeyspace, transfer: Transfer, found: Iterable[Seen]) -> tuple[Write, ...]:
    """Give the records of the owners as they will be; one that is as it will be is left out."""
    moment = forms.parse_utc(transfer.stamp.updated_at)
    if moment is None:
        raise AssertionError("the transfer's own stamp is a moment")
    owners = dict(transfer.owners)
    moved = [
        (
            seen.record._replace(
                cell_id=transfer.to_cell,
                updated_at=moment,
                updated_by=transfer.stamp.updated_by,
            ),
            seen.revision,
        )
        for seen in found
        if seen.record.metadata.subject in owners and seen.record.cell_id != transfer.to_cell
    ]
    return tuple(
        Write(record, keyspace.record(record.bucket), encode_record(record), revision)
        for record, revision in moved
    )


def list_parts(
    keyspace: ClaimKeyspace, transfer: Transfer, revision: int, parts: Iterable[tuple[Write, ...]]
) -> Iterator[Txn]:
    """Plan the list of what will be rewritten, part by part: as many as one transaction holds."""
    compare = Compare(keyspace.transfer(transfer.id), revision)
    puts: list[tuple[str, bytes]] = []
    size = 0
    for number, part in enumerate(parts):
        put = keyspace.part(transfer.id, number), encode_part((), tuple(each.record.bucket for each in part))
        weight = len(put[0]) + len(put[1])
        if puts and (len(puts) == _PARTS_AT_ONCE or size + weight > _ROOM):
            yield Txn(compares=(compare,), puts=tuple(puts))
            puts, size = [], 0
        puts.append(put)
        size += weight
    if puts:
        yield Txn(compares=(compare,), puts=tuple(puts))


def switch(
    keyspace: ClaimKeyspace,
    transfer: Transfer,
    revision: int,
    buckets: Iterable[Bucket],
    now: datetime,
    fence: tuple[Compare, ...] = (),
    arrival: tuple[Compare, ...] = (),
) -> tuple[Transfer, Txn]:
    """Plan the one write that moves all: owners, where they went, and generations, as many as it holds.

    It compares the fence that stands before it, and takes its place.
    """
    touched = generations.slots(buckets)
    room = MAX_TXN_OPERATIONS - 2 - 2 * len(transfer.owners) - len(fence)
    stamp = replace(transfer.stamp, updated_at=forms.format_utc(now))
    moved = replace(transfer, phase=TransferPhase.MOVED, slots=touched[room:], stamp=stamp)
    key, puts = keyspace.transfer(transfer.id), []
    for subject, epoch in transfer.owners:
        owner = replace(_owner(moved, subject, epoch + 1), cell_id=transfer.to_cell)
        departure = Departure(
            owner=name_of(subject),
            from_cell=transfer.from_cell,
            to_cell=transfer.to_cell,
            epoch=epoch + 1,
            stamp=stamp,
        )
        puts.append((keyspace.owner(subject), encode_owner(owner)))
        puts.append((keyspace.topology.departure(departure.owner), encode(departure)))
    puts += generations.written(keyspace.topology, touched[:room], _told(moved))
    txn = Txn(
        compares=(Compare(key, revision), *fence, *arrival),
        puts=((key, encode_transfer(moved)), *puts),
        deletes=(keyspace.quiet(moved.to_cell), *(each.key for each in fence)),
    )
    return moved, txn


def write_slots(keyspace: ClaimKeyspace, transfer: Transfer, revision: int) -> tuple[Transfer, Txn]:
    """Plan generations that the switch had no room for."""
    rest = replace(transfer, slots=transfer.slots[_SLOTS_AT_ONCE:])
    key = keyspace.transfer(transfer.id)
    puts = generations.written(keyspace.topology, transfer.slots[:_SLOTS_AT_ONCE], _told(transfer))
    return rest, Txn(compares=(Compare(key, revision),), puts=((key, encode_transfer(rest)), *puts))


def rewrite_part(
    keyspace: ClaimKeyspace,
    transfer: Transfer,
    revision: int,
    part: tuple[str, int],
    records: Iterable[Write],
) -> Txn:
    """Plan the records of one part, and its end."""
    records = tuple(records)
    return Txn(
        compares=(
            Compare(keyspace.transfer(transfer.id), revision),
            Compare(*part),
            *(Compare(each.key, each.revision) for each in records),
        ),
        puts=tuple((each.key, each.value) for each in records),
        deletes=(part[0],),
    )


def drop_parts(keyspace: ClaimKeyspace, transfer: Transfer, revision: int, keys: Iterable[str]) -> Txn:
    """Plan the end of parts of a transfer that is given up."""
    return Txn(compares=(Compare(keyspace.transfer(transfer.id), revision),), deletes=tuple(keys))


def finish(keyspace: ClaimKeyspace, transfer: Transfer, revision: int) -> Txn:
    """Plan the last write of a transfer that has moved: its owners are let go, it becomes history."""
    done = replace(transfer, phase=TransferPhase.DONE)
    free = (
        replace(_owner(done, subject, epoch + 1), cell_id=transfer.to_cell, transfer="")
        for subject, epoch in transfer.owners
    )
    key = keyspace.transfer(transfer.id)
    return Txn(
        compares=(Compare(key, revision),),
        puts=(
            (key, encode_transfer(done)),
            *((keyspace.owner(owner.subject), encode_owner(owner)) for owner in free),
        ),
    )


def let_go(keyspace: ClaimKeyspace, transfer: Transfer, revision: int, held: Iterable[Owner]) -> Txn:
    """Plan the last write of a transfer that is given up: nothing is left of it.

    An owner at its first epoch had no record before, and has none afterwards.
    """
    key = keyspace.transfer(transfer.id)
    held = tuple(owner for owner in held if owner.transfer == transfer.id)
    kept = (replace(owner, transfer="") for owner in held if owner.epoch > FIRST_EPOCH)
    return Txn(
        compares=(Compare(key, revision),),
        puts=tuple((keyspace.owner(owner.subject), encode_owner(owner)) for owner in kept),
        deletes=(key, *(keyspace.owner(owner.subject) for owner in held if owner.epoch == FIRST_EPOCH)),
    )


def _owner(transfer: Transfer, subject: Subject, epoch: int) -> Owner:
    return Owner(
        subject=subject,
        cell_id=transfer.from_cell,
        epoch=epoch,
        transfer=transfer.id,
        stamp=transfer.stamp,
    )


def _told(transfer: Transfer) -> Stamp:
    return replace(transfer.stamp, reason=f"transfer {transfer.id} to cell {transfer.to_cell}")
