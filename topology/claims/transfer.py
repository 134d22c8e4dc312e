"""Transfers: what is wished, what comes of it, and the rules that stand in its way.

The service makes the wish, `transferring` carries it out and asks here before it writes. It reads and writes
nothing. Third road: decides whether a `Txn` is planned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from topology.claims.keys import is_uuid
from topology.claims.model import Bucket, Record, Subject
from topology.claims.owners import (
    FIRST_EPOCH,
    MAX_OWNERS,
    Owner,
    OwnerElsewhere,
    OwnerMoving,
    Transfer,
    is_owner,
    name_of,
)
from topology.claims.rules import Unreadable
from topology.claims.store import Invalid
from topology.claims.transfer_obstacles import (
    LeasesOpen,
    OwnerUnknown,
    Scattered,
    TransferObstacle,
    Unfenced,
    WrongEpoch,
)
from topology.model import MAX_ID, Problem
from topology.store import Compare


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferWish:
    """Owners, at the epochs at which they are known, that shall go together from one cell to another.

    `id` is the request's, a UUID: the same wish with the same id is carried out once. `unfit` is what else is
    known to be against it; it stops a wish that has not been carried out yet.

    `fenced` are the claims that the source refuses already (None: there is nobody who would), and `fence` the
    keys of the topology that say so: the owners move only while these stand as they were seen. `arrival` is
    the record of the cell that they come to, which must stand so too.
    """

    id: str
    owners: tuple[tuple[Subject, int], ...]
    from_cell: int
    to_cell: int
    reason: str = ""
    dry_run: bool = False
    unfit: tuple[Problem, ...] = ()
    fenced: frozenset[Bucket] | None = None
    fence: tuple[Compare, ...] = ()
    arrival: tuple[Compare, ...] = ()

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The owners alone."""
        return tuple(subject for subject, _ in self.owners)


@dataclass(frozen=True, slots=True)
class Transferred:
    """The owners are in the other cell, each at its next epoch, since this cursor or before it.

    `repeated`: an earlier call with the same id did it.
    """

    transfer: Transfer
    cursor: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Previewed:
    """Nothing happened: so many records would go."""

    records: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing happened: the wish says itself what is against it."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Hindered:
    """Nothing happened: these stand in the way."""

    obstacles: tuple[TransferObstacle, ...]


class Inventory(Protocol):
    """Knows what is claimed for an owner, so that a store without such an index need not read everything."""

    async def claimed_for(self, subjects: Collection[Subject], cursor: int) -> tuple[Bucket, ...]:
        """Name every claim of these owners, in whatever lease, as of a cursor or later."""
        ...


@runtime_checkable
class TransferStore(Protocol):
    """A claim store that can move owners too."""

    async def transfer(
        self, wish: TransferWish, by: str, inventory: Inventory | None = None
    ) -> Transferred | Previewed | Invalid | Unfit | Hindered:
        """Move the claims of owners from one cell to another.

        - Compare and swap: each owner is where and at the epoch that the wish says, or nothing happens;
        - Atomic: every reader sees all of it or nothing, also where the writer dies half-way;
        - Fenced: whatever begins for an owner that is going is refused, or stops the transfer;
        - Repeatable: the same wish under the same id is carried out once.

        Raises as the methods of `ClaimStore` do; a transfer that raised may have happened, and is sent again.
        """
        ...

    async def owner(self, subject: Subject) -> Owner | None:
        """Look an owner up: the newest that is committed; None where it was never moved."""
        ...

    async def aside(self, subjects: Collection[Subject], work: Callable[[], Awaitable[None]]) -> None:
        """Do something to a fence while no transfer of these owners that looked at it is being committed."""
        ...


def wish_problems(wish: TransferWish) -> Iterator[Problem]:
    """Say what is wrong with a wish by itself, whatever the store holds."""
    if not is_uuid(wish.id):
        yield Problem(field="request_id", message=f"{wish.id[:64]!r} is no UUID: send a new one per transfer")
    if not 1 <= len(wish.owners) <= MAX_OWNERS:
        message = f"{len(wish.owners)} are named: name 1 to {MAX_OWNERS}"
        yield Problem(field="owners", message=message)
    for at, (subject, epoch) in enumerate(wish.owners):
        if not is_owner(subject):
            message = f"{name_of(subject)} is no owner: name one like ORGANIZATION/42"
            yield Problem(field=f"owners[{at}].owner", message=message)
        if epoch < FIRST_EPOCH:
            message = f"{epoch} is none: epochs begin at {FIRST_EPOCH}, and the owner's is shown with it"
            yield Problem(field=f"owners[{at}].expected_epoch", message=message)
        if subject in wish.subjects[:at]:
            message = f"{name_of(subject)} is named twice: name it once"
            yield Problem(field=f"owners[{at}].owner", message=message)
    for name, cell_id in (("from_cell", wish.from_cell), ("to_cell", wish.to_cell)):
        if not 1 <= cell_id <= MAX_ID:
            yield Problem(field=name, message=f"{cell_id} is no cell id: use 1 to {MAX_ID}")
    if wish.from_cell == wish.to_cell:
        yield Problem(
            field="to_cell", message=f"{wish.to_cell} is where the owners are to leave: name another"
        )


def same_wish(wish: TransferWish, transfer: Transfer) -> bool:
    """Tell whether a transfer on record is what is wished again. The reason may be told in other words."""
    wished = wish.from_cell, wish.to_cell, dict(wish.owners)
    return wished == (transfer.from_cell, transfer.to_cell, dict(transfer.owners))


def hindrances(
    wish: TransferWish, owners: Mapping[Subject, Owner], records: Iterable[Record | Unreadable]
) -> tuple[TransferObstacle, ...]:
    """Say what stands in the way, given what is on record of the owners and all that is claimed for them."""
    kept: dict[Subject, list[Record]] = {subject: [] for subject in wish.subjects}
    found: list[TransferObstacle] = []
    for record in records:
        if isinstance(record, Unreadable):
            found.append(record)
        elif record.metadata.subject in kept:
            kept[record.metadata.subject].append(record)
    for subject, epoch in wish.owners:
        found += _of_owner(wish, (subject, epoch), owners.get(subject), kept[subject])
    return tuple(found)


def _of_owner(
    wish: TransferWish, known: tuple[Subject, int], owner: Owner | None, records: list[Record]
) -> Iterator[TransferObstacle]:
    subject, expected = known
    if owner and owner.transfer not in ("", wish.id):
        yield OwnerMoving(subject, owner.transfer)
        return
    epoch = owner.epoch if owner else FIRST_EPOCH
    if epoch == FIRST_EPOCH and not records:
        yield OwnerUnknown(subject)
        return
    cells = {record.cell_id for record in records}
    if owner and epoch > FIRST_EPOCH:  # at its first epoch its record only holds it
        cells = {owner.cell_id}
    if len(cells) > 1:
        yield Scattered(subject, tuple(sorted(cells)))
    elif cells != {wish.from_cell}:
        yield OwnerElsewhere(subject, cells.pop(), epoch)
    elif epoch != expected:
        yield WrongEpoch(subject, expected, epoch)
    elif leases := tuple(dict.fromkeys(record.lease for record in records if record.lease)):
        yield LeasesOpen(subject, leases)
    elif wish.fenced is not None and (
        new := tuple(each.bucket for each in records if each.bucket not in wish.fenced)
    ):
        yield Unfenced(subject, new)
