"""The demo's client of the Topology Service: changes of cells and rules, claims, and where a name belongs.

The stage holds one and knows where the service listens. It waits for a service that is starting.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from cellplane.demo.changes import Wanted
from pb.cellplane.topology.v1 import (
    cells_pb2,
    cells_pb2_grpc,
    documents_pb2_grpc,
    moves_pb2,
    moves_pb2_grpc,
    transfer_pb2,
)
from pb.gitlab.cells.topology_service import classify_service_pb2, classify_service_pb2_grpc
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2, service_pb2_grpc
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2

T = TypeVar("T")

_SECONDS = 20.0
_PAUSE_SECONDS = 0.05
_WHO = (("x-cellplane-user", "demo"),)
# A control plane that was restarted is found again at once.
_EAGER = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))


class CallFailed(Exception):
    """The service refused, or did not answer in time."""


class TopologyClient:
    """Calls of one service. Use as an async context manager."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, _EAGER)
        channel: Any = self._channel
        self._cells: Any = cells_pb2_grpc.CellServiceStub(channel)
        self._documents: Any = documents_pb2_grpc.DocumentServiceStub(channel)
        self._moves: Any = moves_pb2_grpc.MoveServiceStub(channel)
        self._claims: Any = service_pb2_grpc.ClaimServiceStub(channel)
        self._classify: Any = classify_service_pb2_grpc.ClassifyServiceStub(channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def change(self, wanted: Wanted) -> int:
        """Make a change and give its revision. Raises CallFailed where it is refused."""
        if isinstance(wanted, cells_pb2.CellChange):
            request = cells_pb2.ChangeCellsRequest(changes=[wanted])
            answer = await self._call(self._cells.ChangeCells, request)
        else:
            answer = await self._call(self._documents.PutDocument, wanted)
        return int(answer.revision)

    async def claim(self, cell_id: int, route: str) -> str:
        """Claim a path for a cell: empty, or why it is refused."""
        bucket = messages_pb2.Bucket(type=messages_pb2.Bucket.ROUTES, value=route)
        customer = messages_pb2.Subject(type=messages_pb2.Subject.ORGANIZATION, id=42)
        records = [messages_pb2.Metadata(bucket=bucket, subject=customer)]
        begin = service_pb2.BeginUpdateRequest(cell_id=cell_id, create_records=records)
        try:
            lease = await self._call(self._claims.BeginUpdate, begin)
        except CallFailed as error:
            return str(error)
        commit = service_pb2.CommitUpdateRequest(cell_id=cell_id, lease_uuid=lease.lease_uuid)
        await self._call(self._claims.CommitUpdate, commit)
        return ""

    async def move(self, owner: str, source: int, to: int, window_seconds: int) -> moves_pb2.Move:
        """Move an owner to another cell; give the move when it has ended. Raises CallFailed."""
        request = moves_pb2.StartMoveRequest(
            request_id=str(uuid.uuid4()),
            owners=[transfer_pb2.OwnerAtEpoch(owner=owner, expected_epoch=1)],
            from_cell=source,
            to_cell=to,
            reason="demo",
            test_window=Duration(seconds=window_seconds),
        )
        move: moves_pb2.Move = (await self._call(self._moves.StartMove, request)).move
        try:
            async with asyncio.timeout(_SECONDS):
                watched = self._moves.WatchMove(moves_pb2.WatchMoveRequest(move_id=move.id), metadata=_WHO)
                async for response in watched:
                    move = response.move
        except TimeoutError:
            raise CallFailed(f"the move waits at {move.step} for {move.waiting}") from None
        return move

    async def classify(self, route: str) -> str:
        """Give the address of the cell that owns a path; empty where nobody does."""
        request = classify_service_pb2.ClassifyRequest(claims=[claim_pb2.Claim(route=route)])
        try:
            answer = await self._call(self._classify.Classify, request)
        except CallFailed:
            return ""
        return str(answer.proxy.address)

    async def _call(self, method: Callable[..., Awaitable[T]], request: object) -> T:
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    try:
                        return await method(request, metadata=_WHO, wait_for_ready=True)
                    except grpc.aio.AioRpcError as error:
                        # Its store is restarting, perhaps; whether a change was made the service finds out.
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise CallFailed(error.details() or str(error.code())) from error
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise CallFailed(f"no answer within {_SECONDS:g} s") from None
