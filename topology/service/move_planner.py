"""What a move would do, told before it begins: whether it fits, how things stand, each step with its gate.

The moves service asks it. It changes nothing. Third road: the wish, judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from pb.cellplane.topology.v1 import moves_pb2 as wire
from topology.claims.store import ClaimStore
from topology.claims.transfer import TransferStore
from topology.keys import Keyspace
from topology.moves.book import Busy, MoveBook
from topology.moves.crossing import Crossing
from topology.moves.fleet import Fleet, Reached
from topology.moves.hooks import Hooks, NoHooks
from topology.moves.model import Move
from topology.moves.steps import FORWARD, ROWS
from topology.moves.works import counted_claims
from topology.placements import Placements
from topology.service.departure_gate import DepartureGate
from topology.service.failure import Failure, invalid_fields
from topology.service.moves_wire import step_number
from topology.service.sources import Sources
from topology.store import Store


class NobodyThere:
    """A fleet without an Envoy."""

    async def reached(self, _: int) -> Reached:
        """Say that nobody lacks anything."""
        return Reached(0)


@dataclass(frozen=True, slots=True)
class MovePorts:
    """What moves need of the world around the service."""

    fleet: Fleet
    hooks: Hooks


NO_PORTS: Final = MovePorts(NobodyThere(), NoHooks())


class MovePlanner:
    """Plans moves on what the service knows."""

    def __init__(
        self, sources: Sources, claims: ClaimStore, store: Store, keyspace: Keyspace, ports: MovePorts
    ) -> None:
        self._book = MoveBook(store, keyspace)
        self._placements = Placements(store, keyspace)
        self._ports = ports
        self._sources = sources
        self._crossing = None
        if isinstance(claims, TransferStore):
            gate = DepartureGate(claims, store, keyspace)
            self._crossing = Crossing(
                claims, gate, sources.follower, lambda: sources.view, lambda: sources.claims
            )

    def steps(self) -> list[wire.PlannedStep]:
        """Give each step with what it does, waits for and calls."""
        return [
            wire.PlannedStep(
                step=step_number(step),
                does=ROWS[step].does,
                gate=ROWS[step].gate,
                hook=self._ports.hooks.told(step),
            )
            for step in FORWARD
        ]

    async def fitting(self, wish: Move) -> Sequence[str]:
        """Say how things stand for a move. Raises Failure where it can't begin."""
        if self._crossing is None:
            words = "this service's claim store can't transfer: nothing can be moved"
            raise Failure(grpc.StatusCode.UNIMPLEMENTED, words, "TRANSFER_UNAVAILABLE")
        if (busy := await self._book.busy(name for name, _ in wish.owners)) is not None:
            raise busy_with(busy)
        problems = await self._crossing.problems(wish)
        cell, names = self._sources.view.cells.get(wish.to_cell), [name for name, _ in wish.owners]
        problems += await self._placements.room_problems(cell, names, force=wish.force)
        if problems:
            raise invalid_fields(problems, grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
        view, reached = self._sources.view, await self._ports.fleet.reached(self._sources.view.revision)
        stays = await self._crossing.hindered(wish)
        fleet = f"{reached.envoys} Envoys, of which all are at revision {view.revision}"
        if reached.missing:
            fleet = f"{reached.envoys} Envoys; behind revision {view.revision}: {reached.missing}"
        return (
            *(
                f"{name}: cell {wish.from_cell} -> cell {wish.to_cell}, epoch {epoch} -> {epoch + 1}"
                for name, epoch in wish.owners
            ),
            f"{counted_claims(self._crossing.records(wish))} will go along",
            fleet,
            *((f"to be waited for: {stays.words}",) if stays is not None else ()),
        )


def busy_with(busy: Busy) -> Failure:
    """Say that an owner is in another move."""
    about = {"owner": busy.owner, "move": busy.move}
    return Failure(grpc.StatusCode.FAILED_PRECONDITION, str(busy), "OWNER_MOVING", about)
