"""The claims' side of a move: whether they can go, that they go, and since when the fleet is told of it.

`works` asks it at each step. It knows no Envoy and no application. Third road: wishes for transfers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid5

from topology import forms
from topology.arrivals import arrival_problems, as_arrived_at
from topology.claims import generations
from topology.claims.index import ClaimIndex
from topology.claims.model import Subject
from topology.claims.owners import OwnerMoving, subject_of
from topology.claims.rules import Unreadable
from topology.claims.transfer import (
    Hindered,
    Inventory,
    Previewed,
    Transferred,
    TransferStore,
    TransferWish,
    Unfit,
)
from topology.claims.transfer_obstacles import (
    FenceLifted,
    LeasesOpen,
    SidecarsBehind,
    TransferObstacle,
    Unfenced,
)
from topology.model import Problem
from topology.moves.machine import owners_at
from topology.moves.model import Move
from topology.service.audit import shown
from topology.service.departure_gate import DepartureGate
from topology.view import View

_PASSING: Final = LeasesOpen | OwnerMoving | SidecarsBehind | FenceLifted | Unfenced


@dataclass(frozen=True, slots=True)
class Gone:
    """The claims are in the other cell, so many, since a cursor of their store."""

    records: int
    cursor: int


@dataclass(frozen=True, slots=True)
class Stays:
    """The claims can't go. `passing`: they may in a while, by themselves."""

    words: str
    passing: bool


class Crossing:
    """The claims of moves, in one claim store, with a View and an index that are kept up to date."""

    def __init__(
        self,
        transfers: TransferStore,
        gate: DepartureGate,
        inventory: Inventory,
        view: Callable[[], View],
        claims: Callable[[], ClaimIndex],
    ) -> None:
        self._transfers = transfers
        self._gate = gate
        self._inventory = inventory
        self._view = view
        self._claims = claims

    async def problems(self, move: Move) -> tuple[Problem, ...]:
        """Say what is against a move before it begins."""
        against = list(arrival_problems(self._view(), move.to_cell, force=move.force))
        stays = await self.hindered(move)
        if stays is not None and not stays.passing:
            against.append(Problem(field="owners", message=stays.words))
        return tuple(against)

    def records(self, move: Move) -> int:
        """Count the claims that go along."""
        return sum(len(self._claims().claimed_for(_subject(name))) for name, _ in move.owners)

    async def hindered(self, move: Move) -> Stays | None:
        """Say what keeps the claims where they are now; None where nothing does."""
        wish = replace(wish_of(move, back=False), dry_run=True)
        outcome = await self._transfers.transfer(wish, move.stamp.updated_by, self._inventory)
        match outcome:
            case Previewed():
                return None
            case Hindered(obstacles):
                return _stays(obstacles)
            case _:
                raise AssertionError(f"a move that is on record is no good wish: {outcome}")

    async def go(self, move: Move, *, back: bool) -> Gone | Stays:
        """Have the claims go, or back, and the freeze end with it: once, however often it is asked."""
        wish = wish_of(move, back=back)
        wish = replace(wish, arrival=as_arrived_at(self._view(), wish.to_cell))
        if not back:
            unfit = tuple(arrival_problems(self._view(), move.to_cell, force=move.force))
            wish = replace(wish, unfit=unfit)
        match await self._gate.transfer(wish, move.stamp.updated_by, self._inventory, move.id):
            case Transferred(transfer, cursor, _):
                return Gone(transfer.records, cursor)
            case Hindered(obstacles):
                return _stays(obstacles)
            case Unfit(problems):
                return Stays("; ".join(map(str, problems)), passing=False)
            case other:
                raise AssertionError(f"a move that is on record is no good wish: {other}")

    async def has_gone(self, move: Move) -> bool | None:
        """Tell whether the claims have gone; None while a transfer holds them, which ends by itself."""
        for name, epoch in move.owners:
            owner = await self._transfers.owner(_subject(name))
            if owner is not None and owner.transfer:
                return None
            if owner is not None and owner.epoch > epoch:
                return True
        return False

    def told_at(self, move: Move, *, back: bool) -> int:
        """Give the revision at which the topology tells all of where the owners are; 0: not yet."""
        view, revisions = self._view(), []
        for name, epoch in owners_at(move, back=back):
            departure = view.departed.get(name)
            if departure is None or departure.epoch <= epoch:
                return 0
            left_at = view.mod_revisions[view.keyspace.departure(name)]
            # With claims in a store of their own, generations are told after the departure.
            slots = generations.slots(self._claims().claimed_for(_subject(name)))
            told = [view.generations.get(slot, 0) for slot in slots]
            if any(each < left_at for each in told):
                return 0
            revisions += [left_at, *told]
        return max(revisions)


def wish_of(move: Move, *, back: bool) -> TransferWish:
    """Give the transfer that a move wishes for, or the one that takes it back."""
    cells = (move.to_cell, move.from_cell) if back else (move.from_cell, move.to_cell)
    return TransferWish(
        id=transfer_id(move, back=back),
        owners=tuple((_subject(name), epoch) for name, epoch in owners_at(move, back=back)),
        from_cell=cells[0],
        to_cell=cells[1],
        reason=f"move {move.id}: {move.stamp.reason}"[: forms.TEXT_LENGTH],
    )


def transfer_id(move: Move, *, back: bool) -> str:
    """Name the transfer of a move, so that whoever goes on with it sends the same."""
    return str(uuid5(UUID(move.id), "back" if back else "forth"))


def _stays(obstacles: Iterable[TransferObstacle]) -> Stays:
    found = tuple(obstacles)
    passing = all(isinstance(each, _PASSING) for each in found)
    return Stays("; ".join(map(_words, found)), passing)


def _words(obstacle: TransferObstacle) -> str:
    """Spell an obstacle. It goes to the log too, where no claim stands that says who somebody is."""
    if isinstance(obstacle, Unreadable):
        return f"{shown(obstacle.bucket)}: what is on record can't be read ({obstacle.reason})"
    return str(obstacle)


def _subject(name: str) -> Subject:
    subject = subject_of(name)
    if subject is None:
        raise AssertionError(f"{name} is no owner: no move with it is begun or read")
    return subject
