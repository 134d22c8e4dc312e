"""Whether an owner is still the cell's: what an application asks before it writes for one whom nothing in the
request names.

Sidecars fence requests by the names in them. A session alone, a token, a job in the background carries none:
there the application knows for whom it writes, and asks here. `Request -> ClassificationKey -> Decision`, for
those without a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from pb.cellplane.topology.v1 import transfer_pb2, transfer_pb2_grpc
from topology.client.failures import meaning
from topology.client.limiter import NO_LIMIT, Limiter

SECONDS: Final = 0.2  # somebody waits for it


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The cells that claim for an owner (one, once it has moved), its epoch, and whether it may be written
    for: it is here and not being taken away, or nobody claims anything for it yet.
    """

    cells: tuple[int, ...]
    epoch: int
    here: bool


class OwnerClient:
    """Asks over asyncio. `owner` is spelled like ORGANIZATION/42."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        cell_id: int,
        *,
        limiter: Limiter = NO_LIMIT,
    ) -> None:
        self._stub: Any = transfer_pb2_grpc.TransferServiceStub(channel)
        self._cell_id = cell_id
        self._limiter = limiter

    async def whereabouts(self, owner: str) -> Whereabouts:
        """Say where an owner is. Raises ServiceAway or TooBusy where nobody says: then the application
        decides.
        """
        request = transfer_pb2.GetOwnerRequest(owner=owner)
        try:
            with self._limiter.place():
                answer = await self._stub.GetOwner(request, timeout=SECONDS)
        except grpc.RpcError as error:
            return _nowhere(error)
        return _told(answer, self._cell_id)


class SyncOwnerClient:
    """The same for threads."""

    def __init__(
        self,
        channel: grpc.Channel,
        cell_id: int,
        *,
        limiter: Limiter = NO_LIMIT,
    ) -> None:
        self._stub: Any = transfer_pb2_grpc.TransferServiceStub(channel)
        self._cell_id = cell_id
        self._limiter = limiter

    def whereabouts(self, owner: str) -> Whereabouts:
        """Say where an owner is. Raises ServiceAway or TooBusy where nobody says: then the application
        decides.
        """
        request = transfer_pb2.GetOwnerRequest(owner=owner)
        try:
            with self._limiter.place():
                answer = self._stub.GetOwner(request, timeout=SECONDS)
        except grpc.RpcError as error:
            return _nowhere(error)
        return _told(answer, self._cell_id)


def _told(answer: transfer_pb2.GetOwnerResponse, cell_id: int) -> Whereabouts:
    return Whereabouts(tuple(answer.cells), answer.epoch, cell_id in answer.cells and not answer.transfer)


def _nowhere(error: Any) -> Whereabouts:
    """Take "nobody claims anything for it" for an answer, and raise whatever else it was."""
    if error.code() is not grpc.StatusCode.NOT_FOUND:
        raise meaning(error) from error
    return Whereabouts((), 0, here=True)
