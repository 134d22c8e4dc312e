"""Moves, for programs that start and follow them: over asyncio, and the same for threads.

`move_steps` says what is asked; here it is. A watch goes on where it broke off. Third road: the wish, before
it is a `Txn`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from pb.cellplane.topology.v1 import moves_pb2 as wire
from pb.cellplane.topology.v1 import moves_pb2_grpc
from topology.client.calls import DEFAULT_PATIENCE, Patience, Persistence, Steps, carry_out, carry_out_here
from topology.client.errors import ServiceAway, TooBusy
from topology.client.failures import meaning
from topology.client.limiter import NO_LIMIT, Limiter
from topology.client.move_steps import MoveBegun, Moves, MoveState, MoveSteps, MoveWish, state_of
from topology.moves.model import Order, Step

T = TypeVar("T")
_BEGIN_ANEW: Final = ("COMPACTED", "REVISION_UNKNOWN")


class MoveClient:
    """Moves over asyncio. Raises NameHeld where an owner is in another move, ClaimRefused for what can't be,
    ServiceAway, TooBusy.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        limiter: Limiter = NO_LIMIT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._stub: Any = moves_pb2_grpc.MoveServiceStub(channel)
        self._persistence = Persistence(patience, chance)
        self._steps = MoveSteps(self._persistence)
        self._limiter = limiter
        self._sleep = sleep

    async def start(self, wish: MoveWish, *, dry_run: bool = False) -> MoveBegun:
        """Begin a move, or say what it would be. The same wish begins one move, however often it is sent."""
        return await self._done(self._steps.start(wish, dry_run=dry_run))

    async def tell(
        self, move_id: str, order: Order, reason: str, *, at: Step | None = None, dry_run: bool = False
    ) -> MoveState:
        """Continue, switch back or abort; refused where it is not `at` this step any more. Made once."""
        return await self._done(self._steps.tell(move_id, order, reason, at, dry_run=dry_run))

    async def get(self, move_id: str) -> MoveState:
        """Look a move up, by its id or the beginning of it."""
        return await self._done(self._steps.get(move_id))

    async def list(self, owner: str = "", *, ended: bool = False) -> Moves:
        """Give the moves that go on, of an owner or of all, and with `ended` the others on record."""
        return await self._done(self._steps.list(owner, ended=ended))

    async def watch(self, move_id: str) -> AsyncIterator[MoveState]:
        """Give the move as it is, then each change, until it has ended."""
        seen, failures = 0, 0
        while True:
            call = self._stub.WatchMove(wire.WatchMoveRequest(move_id=move_id))
            try:
                async for answer in call:
                    failures, state = 0, state_of(answer.move)
                    if state.revision > seen:
                        seen = state.revision
                        yield state
                return
            except grpc.RpcError as error:
                failures += 1
                await self._sleep(_pause(self._persistence, failures, error))
            finally:
                call.cancel()

    async def _done(self, steps: Steps[T]) -> T:
        return await carry_out(steps, self._stub, self._limiter, self._sleep)


class SyncMoveClient:
    """The same for threads."""

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        patience: Patience = DEFAULT_PATIENCE,
        limiter: Limiter = NO_LIMIT,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._stub: Any = moves_pb2_grpc.MoveServiceStub(channel)
        self._persistence = Persistence(patience, chance)
        self._steps = MoveSteps(self._persistence)
        self._limiter = limiter
        self._sleep = sleep

    def start(self, wish: MoveWish, *, dry_run: bool = False) -> MoveBegun:
        """Begin a move, or say what it would be. The same wish begins one move, however often it is sent."""
        return self._done(self._steps.start(wish, dry_run=dry_run))

    def tell(
        self, move_id: str, order: Order, reason: str, *, at: Step | None = None, dry_run: bool = False
    ) -> MoveState:
        """Continue, switch back or abort; refused where it is not `at` this step any more. Made once."""
        return self._done(self._steps.tell(move_id, order, reason, at, dry_run=dry_run))

    def get(self, move_id: str) -> MoveState:
        """Look a move up, by its id or the beginning of it."""
        return self._done(self._steps.get(move_id))

    def list(self, owner: str = "", *, ended: bool = False) -> Moves:
        """Give the moves that go on, of an owner or of all, and with `ended` the others on record."""
        return self._done(self._steps.list(owner, ended=ended))

    def watch(self, move_id: str) -> Iterator[MoveState]:
        """Give the move as it is, then each change, until it has ended."""
        seen, failures = 0, 0
        while True:
            call = self._stub.WatchMove(wire.WatchMoveRequest(move_id=move_id))
            try:
                for answer in call:
                    failures, state = 0, state_of(answer.move)
                    if state.revision > seen:
                        seen = state.revision
                        yield state
                return
            except grpc.RpcError as error:
                failures += 1
                self._sleep(_pause(self._persistence, failures, error))
            finally:
                call.cancel()

    def _done(self, steps: Steps[T]) -> T:
        return carry_out_here(steps, self._stub, self._limiter, self._sleep)


def _pause(persistence: Persistence, failures: int, error: grpc.RpcError) -> float:
    """Say how long to wait before a watch goes on. Raises what its end means where that does not help."""
    failed = meaning(error)
    anew = isinstance(failed, ServiceAway | TooBusy) or failed.reason in _BEGIN_ANEW
    if not anew or failures >= persistence.patience.attempts:
        raise failed from error
    return persistence.pause(failures)
