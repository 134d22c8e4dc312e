"""Our own MoveService: moves begun, looked at, and told what a person wants. The leader carries them on.

The server registers it. What a move is `topology.moves` says; this plans, and writes wishes and orders down.
Third road: where they come in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc

from pb.cellplane.topology.v1 import moves_pb2 as wire
from pb.cellplane.topology.v1 import moves_pb2_grpc
from topology.claims.store import ClaimStore
from topology.keys import Keyspace
from topology.leader import leader_key
from topology.model import Problem
from topology.moves import machine
from topology.moves.book import Busy, MoveBook, SeenMove
from topology.moves.model import Move, Order, Step
from topology.moves.runner import ROLE
from topology.service.changer import stamp_of_caller
from topology.service.failure import invalid_fields, not_found, owner_named
from topology.service.gate import Context
from topology.service.move_planner import MovePlanner, MovePorts, busy_with
from topology.service.moves_wire import move_message, step_of, wished
from topology.service.open_watches import OpenWatches
from topology.service.sources import Sources
from topology.store import Compare, Conflict, Store, Txn

log = logging.getLogger("topology.audit")


class MoveService(moves_pb2_grpc.MoveServiceServicer):
    """Moves, on claim stores that can transfer."""

    def __init__(
        self, sources: Sources, claims: ClaimStore, store: Store, keyspace: Keyspace, ports: MovePorts
    ) -> None:
        self.watches = OpenWatches()
        self._store = store
        self._book = MoveBook(store, keyspace)
        self._leader_key = leader_key(keyspace, ROLE)
        self._planner = MovePlanner(sources, claims, store, keyspace, ports)

    async def StartMove(self, request: wire.StartMoveRequest, context: Context) -> wire.StartMoveResponse:
        stamp = stamp_of_caller(request.reason)
        wish = wished(request, stamp)
        if problems := tuple(machine.move_problems(wish)):
            raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "MOVE_INVALID")
        if (known := await self._book.read(wish.id)) is not None:
            return self._again(wish, known)
        summary = await self._planner.fitting(wish)
        plan = self._planner.steps()
        if request.dry_run:
            return wire.StartMoveResponse(move=move_message(SeenMove(wish, 0)), plan=plan, summary=summary)
        outcome = await self._book.begin(machine.begun(wish, datetime.now(UTC)))
        if isinstance(outcome, Busy):
            raise busy_with(outcome)
        log.info(
            "move_started by=%s id=%s owners=%s from=%d to=%d revision=%d reason=%r",
            stamp.updated_by,
            wish.id,
            ",".join(f"{name}:{epoch}" for name, epoch in wish.owners),
            wish.from_cell,
            wish.to_cell,
            outcome.revision,
            stamp.reason,
        )
        return wire.StartMoveResponse(move=move_message(outcome), plan=plan, summary=summary)

    async def ContinueMove(self, request: wire.MoveOrderRequest, context: Context) -> wire.MoveOrderResponse:
        return await self._ordered(request, Order.CONTINUE)

    async def SwitchMoveBack(
        self, request: wire.MoveOrderRequest, context: Context
    ) -> wire.MoveOrderResponse:
        return await self._ordered(request, Order.SWITCH_BACK)

    async def AbortMove(self, request: wire.MoveOrderRequest, context: Context) -> wire.MoveOrderResponse:
        return await self._ordered(request, Order.ABORT)

    async def GetMove(self, request: wire.GetMoveRequest, context: Context) -> wire.GetMoveResponse:
        return wire.GetMoveResponse(move=move_message(await self._named(request.move_id)))

    async def ListMoves(self, request: wire.ListMovesRequest, context: Context) -> wire.ListMovesResponse:
        if request.owner:
            owner_named(request.owner, "owner")
        found = [
            seen
            for seen in await self._book.list()
            if (request.all or not seen.move.ended)
            and (not request.owner or request.owner in dict(seen.move.owners))
        ]
        return wire.ListMovesResponse(
            moves=[move_message(seen, with_history=False) for seen in found], leader=await self._leader()
        )

    async def WatchMove(
        self, request: wire.WatchMoveRequest, context: Context
    ) -> AsyncIterator[wire.GetMoveResponse]:
        seen = await self._named(request.move_id)
        async for response in self.watches.following(self._changes(seen)):
            yield response

    async def _changes(self, seen: SeenMove) -> AsyncIterator[wire.GetMoveResponse]:
        yield wire.GetMoveResponse(move=move_message(seen))
        key = f"{self._book.root}{seen.move.id}"
        async with aclosing(self._store.watch(key, seen.revision)) as batches:
            while not seen.move.ended:
                for event in (await self.watches.next(batches)).events:
                    if event.key == key and event.record is not None:
                        seen = self._book.seen(event.record)
                        yield wire.GetMoveResponse(move=move_message(seen))

    def _again(self, wish: Move, known: SeenMove) -> wire.StartMoveResponse:
        same = (wish.owners, wish.from_cell, wish.to_cell)
        if same != (known.move.owners, known.move.from_cell, known.move.to_cell):
            message = f"{wish.id} was used for another move: send a new one"
            problem = Problem(field="request_id", message=message)
            raise invalid_fields((problem,), grpc.StatusCode.INVALID_ARGUMENT, "MOVE_INVALID")
        return wire.StartMoveResponse(move=move_message(known), repeated=True)

    async def _ordered(self, request: wire.MoveOrderRequest, order: Order) -> wire.MoveOrderResponse:
        stamp = stamp_of_caller(request.reason)
        expected = step_of(request.expected_step) if request.expected_step else None
        seen = await self._named(request.move_id)

        def change(move: Move) -> Move:
            if problem := machine.order_problem(move, order, expected):
                raise invalid_fields((problem,), grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
            return machine.told(move, order, stamp)

        after = change(seen.move)
        summary = [f"move {seen.move.id} at {seen.move.step}: {_means(seen.move, order)}"]
        if request.dry_run:
            return wire.MoveOrderResponse(
                move=move_message(replace(seen, move=replace(after, history=seen.move.history))),
                summary=summary,
            )
        written = await self._book.change(seen.move.id, change)
        if written is None:
            raise not_found(f"there is no move {seen.move.id} any more")
        log.info(
            "move_ordered by=%s id=%s order=%s step=%s reason=%r",
            stamp.updated_by,
            seen.move.id,
            order,
            written.move.step,
            stamp.reason,
        )
        return wire.MoveOrderResponse(move=move_message(written), summary=summary)

    async def _named(self, name: str) -> SeenMove:
        """Find a move by its id or the beginning of it. Raises Failure."""
        if (seen := await self._book.read(name.lower())) is not None:
            return seen
        found = [each for each in await self._book.list() if name and each.move.id.startswith(name.lower())]
        if len(found) == 1:
            return found[0]
        words = (
            f"{len(found)} moves begin with {name[:64]!r}: name more of it"
            if found
            else f"there is no move {name[:64]!r}"
        )
        raise not_found(words, "MOVE_UNKNOWN")

    async def _leader(self) -> str:
        outcome = await self._store.commit(Txn(compares=(Compare(self._leader_key, 0),)))
        for record in outcome.records if isinstance(outcome, Conflict) else ():
            body: dict[str, Any] = json.loads(record.value)
            return str(body.get("who", ""))
        return ""


def _means(move: Move, order: Order) -> str:
    match order:
        case Order.ABORT:
            return "it ends, and nothing has moved"
        case Order.SWITCH_BACK:
            return f"claims go back to cell {move.from_cell}; what cell {move.to_cell} wrote is lost"
        case Order.CONTINUE:
            return "it commits" if move.step is Step.TEST else "it goes on"
