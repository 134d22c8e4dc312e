"""A cell that claims and an operator who ends it and opens it again, at random, and notes of what they got.

`claims_under_kill` lets them act among others: a begin and the end of its cell may never both have happened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from pb.cellplane.topology.v1 import cells_pb2
from tests.linearizable import UNKNOWN, Call
from tests.topology.service.stage import Client
from tests.topology.service.test_claim_service import commit, request, rollback
from topology.model import CellState
from topology.service.cells_wire import state_number

_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
_REFUSED = (
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
)
_TRY_AGAIN = (b"CLAIM_LEASED", b"LEASES_OPEN", b"OWNER_MOVING")
_NEVER_SENT = "failed to connect to all addresses"


class Noting:
    """Somebody who calls, and notes down what was answered."""

    def __init__(self, client: Client, cell_id: int, chance: random.Random, history: list[Call]) -> None:
        self.client = client
        self.cell_id = cell_id
        self.chance = chance
        self._history = history

    async def act(self) -> None:
        raise NotImplementedError

    async def noted(self, asked: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        began = time.monotonic()
        try:
            answered = await work()
        except grpc.aio.AioRpcError as error:
            if error.code() not in _NO_ANSWER:
                raise
            if _NEVER_SENT in (error.details() or ""):
                return UNKNOWN
            answered = UNKNOWN
        if not (answered is UNKNOWN and asked[0] == "get"):
            self._history.append(Call(asked, answered, began, time.monotonic()))
        return answered

    async def close(self, lease: str, commit_it: bool) -> str:
        await (commit if commit_it else rollback)(self.client, self.cell_id, lease)
        return "closed"


class Tenant(Noting):
    """A cell that claims a name of its own again and again, so that it owns something half of the time."""

    _lease = ""
    _names = 0

    async def act(self) -> None:
        if self._lease:
            lease, self._lease = self._lease, ""
            await self.noted(("close", self.cell_id, lease, False), lambda: self.close(lease, False))
            return
        self._names += 1
        name = f"t{self.cell_id}-{self._names}"
        await self.noted(("begin", self.cell_id, frozenset({name}), frozenset()), lambda: self._begin(name))

    async def _begin(self, name: str) -> str:
        wanted = request(self.cell_id, [name])
        wanted.create_records[0].subject.id = 9000 + self.cell_id
        try:
            answer = await self.client.claims.BeginUpdate(wanted)
        except grpc.aio.AioRpcError as error:
            return refusal(error)
        self._lease = answer.lease_uuid.value
        return self._lease


class Ender(Noting):
    """An operator: the cell is DRAINED as soon as that is not refused, and drains again after that."""

    _maybe_ended = False

    async def act(self) -> None:
        if self._maybe_ended:
            self._maybe_ended = False
            await self.noted(
                ("reopen", self.cell_id), lambda: self._moved(CellState.CANARY, CellState.DRAINING)
            )
            return
        answered = await self.noted(("end", self.cell_id), lambda: self._moved(CellState.DRAINED))
        self._maybe_ended = answered != "refused"

    async def _moved(self, *states: CellState) -> str:
        for state in states:
            draining = state is CellState.DRAINING
            wanted = cells_pb2.TransitionCellRequest(
                id=self.cell_id,
                state=state_number(state),
                over=Duration() if draining else None,
                force=draining,  # whatever the other cells would get
            )
            try:
                await self.client.cells.TransitionCell(wanted)
            except grpc.aio.AioRpcError as error:
                return refusal(error)
        return "done"


def refusal(error: grpc.aio.AioRpcError) -> str:
    if error.code() not in _REFUSED:
        raise error
    return "leased" if any(reason in details(error) for reason in _TRY_AGAIN) else "refused"


def details(error: grpc.aio.AioRpcError) -> bytes:
    found = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return found if isinstance(found, bytes) else found.encode()
