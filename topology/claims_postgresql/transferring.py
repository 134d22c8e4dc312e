"""A transfer as one transaction: owners and all their claims in the other cell, or nothing.

The store hands it wishes. `topology.claims.transfer` says what stands in the way; begins share a lock with
their owners, which a transfer has alone. The log tells the topology of it. Third road.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from topology.claims.keys import TransferKey
from topology.claims.model import Record, Subject
from topology.claims.owner_codec import decode_transfer, encode_transfer
from topology.claims.owners import Owner, TransferPhase, name_of
from topology.claims.rules import Unreadable
from topology.claims.store import Invalid
from topology.claims.transfer import (
    Hindered,
    Previewed,
    Transferred,
    TransferWish,
    Unfit,
    hindrances,
    same_wish,
    wish_problems,
)
from topology.claims.transfer_obstacles import FenceLifted
from topology.claims.transfer_plan import transfer_of
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.rows import owner_of, record_of
from topology.claims_postgresql.writing import commit_changes
from topology.codec import Undecodable, encode
from topology.errors import StoreRefused, StoreUnavailable
from topology.model import Departure, Problem
from topology.store import Compare

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Connection

Outcome = Transferred | Previewed | Invalid | Unfit | Hindered
Stands: TypeAlias = Callable[[tuple[Compare, ...]], Awaitable[bool]]
# More are told by their owners alone: where an owner is decides, and a listing has the rest.
TOLD_ONE_BY_ONE: Final = 10_000
_SECONDS: Final = 60  # an owner may have a hundred thousand claims


def locked(subjects: Iterable[Subject], *, shared: bool) -> str:
    """Give what a transaction begins with that writes for owners, in one message with its BEGIN."""
    slots = sorted({(subject.id * 8 + subject.type) % statements.OWNER_SLOTS for subject in subjects})
    if not slots:
        return ""
    how = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    return "; " + "; ".join(f"SELECT {how}({statements.OWNER_LOCK}, {slot})" for slot in slots)


def admitted(cells: Iterable[int], *, shared: bool) -> str:
    """Give what a transaction begins with by which cells come to own something, or must not."""
    slots = sorted({cell_id % statements.CELL_SLOTS for cell_id in cells})
    how = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    return "".join(f"; SELECT {how}({statements.CELL_LOCK}, {slot})" for slot in slots)


async def owners_by(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, Owner]:
    """Read the owners that were moved, of these."""
    with told():
        rows = await connection.fetch(statements.OWNERS, *_columns(subjects))
    found = (owner_of(row) for row in rows)
    return {owner.subject: owner for owner in found if isinstance(owner, Owner)}


async def transfer_once(
    database: Database, wish: TransferWish, by: str, now: datetime, stands: Stands | None
) -> Outcome:
    """Carry a wish out, once. Raises Clash and OutcomeUnknown where that is worth another attempt.

    `stands` tells whether keys of the topology are as a fence saw them; without it no fence is believed.
    """
    if problems := tuple(wish_problems(wish)):
        return Invalid(problems)
    # First the cell's, then the owners', as begins take them: nobody waits in a circle.
    locks = admitted((wish.to_cell,), shared=True) + locked(wish.subjects, shared=False)
    async with database.transaction(locks) as connection:
        with told():
            await connection.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        earlier = await _earlier(connection, wish)
        if earlier is not None or wish.unfit:
            return earlier or Unfit(wish.unfit)
        with told():
            rows = await connection.fetch(statements.CLAIMED, *_columns(wish.subjects), timeout=_SECONDS)
        seen = [record_of(row) for row in rows]
        if odd := next((each for each in seen if not isinstance(each, Record)), None):
            raise StoreRefused(f"a claim of the owner can't be read, {odd.key}: {odd.reason}")
        records = [each for each in seen if isinstance(each, Record)]
        owners = await owners_by(connection, wish.subjects)
        standing: Iterable[Record | Unreadable] = records
        if obstacles := hindrances(wish, owners, standing):
            return Hindered(obstacles)
        if wish.dry_run:
            return Previewed(len(records))
        if wish.fence and (stands is None or not await stands(wish.fence)):
            return Hindered(tuple(FenceLifted(subject) for subject in wish.subjects))
        if wish.arrival and (stands is None or not await stands(wish.arrival)):
            raise StoreUnavailable(f"cell {wish.to_cell} was changed at the same moment: try again")
        return await _move(connection, wish, by, now, records)


async def _move(
    connection: Connection, wish: TransferWish, by: str, now: datetime, records: Sequence[Record]
) -> Transferred:
    transfer = replace(transfer_of(wish, now, by), phase=TransferPhase.DONE, records=len(records))
    stamp = transfer.stamp
    owners = [
        Owner(subject=subject, cell_id=wish.to_cell, epoch=epoch + 1, transfer="", stamp=stamp)
        for subject, epoch in wish.owners
    ]
    departures = [
        Departure(
            owner=name_of(owner.subject),
            from_cell=wish.from_cell,
            to_cell=wish.to_cell,
            epoch=owner.epoch,
            stamp=stamp,
        )
        for owner in owners
    ]
    with told():
        await connection.execute(
            statements.MOVE, *_columns(wish.subjects), wish.to_cell, now, by, timeout=_SECONDS
        )
        for owner in owners:
            await connection.execute(
                statements.OWN, int(owner.subject.type), owner.subject.id, owner.cell_id, owner.epoch,
                stamp.updated_by, stamp.updated_at, stamp.reason,
            )  # fmt: skip
        await connection.execute(
            statements.TRANSFERRED,
            transfer.id,
            encode_transfer(transfer).decode(),
            [encode(departure).decode() for departure in departures],
        )
    moved = [each._replace(cell_id=wish.to_cell, updated_at=now, updated_by=by) for each in records]
    single = moved if len(moved) <= TOLD_ONE_BY_ONE else []
    buckets = [record.bucket for record in moved]
    await commit_changes(connection, (*owners, *single), departures=departures, moved=buckets)
    return Transferred(transfer, await _newest(connection))


async def _earlier(connection: Connection, wish: TransferWish) -> Transferred | Invalid | None:
    """Say what came of the same request before; None where nothing did."""
    with told():
        body = await connection.fetchval(statements.TRANSFER, wish.id)
    if body is None:
        return None
    transfer = decode_transfer(TransferKey(wish.id), body.encode())
    if isinstance(transfer, Undecodable):
        raise StoreRefused(f"the transfer {wish.id} can't be read: {transfer.reason}")
    if not same_wish(wish, transfer):
        message = f"{wish.id} was used for another transfer: send a new one"
        return Invalid((Problem(field="request_id", message=message),))
    return Transferred(transfer, await _newest(connection), repeated=True)


async def _newest(connection: Connection) -> int:
    with told():
        cursor: int = await connection.fetchval(statements.NEWEST)
    return cursor


def _columns(subjects: Sequence[Subject]) -> tuple[list[int], list[int]]:
    return [int(subject.type) for subject in subjects], [subject.id for subject in subjects]
