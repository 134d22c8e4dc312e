"""The server's health as gRPC has it: asked once, or watched until the server goes away.

The server sets it and ends the watches. grpcio's own servicer ends none, so that a stop waits for them until
its grace is over, and once a watcher has left it tells the others of that service nothing more. Beside
`Request -> ClassificationKey -> Decision`: whether there is anybody to ask.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from topology.service.failure import Failure
from topology.service.gate import Context
from topology.service.open_watches import OpenWatches

OVERALL: Final = ""  # the server as a whole
_Answer = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """The health of services by their names, all the same."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset((OVERALL, *services))
        self._status: int = _Answer.NOT_SERVING
        self._changed = asyncio.Event()
        self._watches = OpenWatches(most=sys.maxsize)  # each client may hold one, whatever it calls
        self._ended = False

    def set(self, *, serving: bool) -> None:
        """Say whether questions can be answered. Once the server goes away they can't, whatever is said."""
        self._status = _Answer.SERVING if serving and not self._ended else _Answer.NOT_SERVING
        self._changed.set()
        self._changed = asyncio.Event()

    async def end(self) -> None:
        """Say that the server goes away, and send watchers elsewhere once they have heard it."""
        self._ended = True
        self.set(serving=False)
        await asyncio.sleep(0)  # who waits for a change looks first
        self._watches.end()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> _Answer:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service[:256]!r}")
        return _Answer(status=_Answer.ServingStatus.ValueType(self._status))

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> AsyncIterator[_Answer]:
        try:
            async for status in self._watches.following(self._told(request.service)):
                yield _Answer(status=_Answer.ServingStatus.ValueType(status))
        except Failure as failure:
            await context.abort(failure.code, failure.message, trailing_metadata=failure.trailers())

    async def _told(self, service: str) -> AsyncIterator[int]:
        last: int | None = None
        while True:
            changed = self._changed
            status = self._status if service in self._services else _Answer.SERVICE_UNKNOWN
            if status != last:
                last = status
                yield status
            else:
                await self._watches.waiting(changed.wait())
