"""Our own PlacementService: a cell for a newcomer, reserved in one step; released; looked up.

The server registers it. `topology.placement` chooses, `topology.placements` keeps. Third road: where the wish
for a place comes in.
"""

from __future__ import annotations

import logging

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from pb.cellplane.topology.v1 import placement_pb2, placement_pb2_grpc
from topology import forms
from topology.placement import NoRoom, PlacementWish, placement_problems
from topology.placements import Placed, Placements, Refused
from topology.service import audit
from topology.service.changer import stamp_of_caller
from topology.service.failure import Failure, invalid_fields, not_found, owner_named
from topology.service.gate import Context
from topology.service.sources import Sources

log = logging.getLogger("topology.audit")


class PlacementService(placement_pb2_grpc.PlacementServiceServicer):
    """Places of newcomers."""

    def __init__(self, sources: Sources, placements: Placements) -> None:
        self._sources = sources
        self._placements = placements

    async def Place(
        self, request: placement_pb2.PlaceRequest, context: Context
    ) -> placement_pb2.PlaceResponse:
        if request.owner:
            owner_named(request.owner, "owner")
        wish = PlacementWish(
            key=request.request_key,
            region=request.region,
            ring=request.ring if request.HasField("ring") else None,
            owner=request.owner,
        )
        stamp = stamp_of_caller(request.reason)
        outcome = await self._placements.place(self._sources.view, wish, stamp, dry_run=request.dry_run)
        match outcome:
            case Refused(problems):
                raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "PLACEMENT_INVALID")
            case NoRoom():
                raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, str(outcome), "NO_ROOM")
            case Placed(placement, revision, considered, repeated):
                if not request.dry_run:
                    log.info(
                        "newcomer_placed by=%s key=%s cell=%d revision=%d repeated=%s why=%r reason=%r",
                        stamp.updated_by,
                        audit.named(wish.key),
                        placement.cell_id,
                        revision,
                        repeated,
                        placement.why,
                        stamp.reason,
                    )
                return placement_pb2.PlaceResponse(
                    cell_id=placement.cell_id,
                    why=placement.why,
                    considered=[
                        placement_pb2.Considered(cell_id=cell_id, words=words)
                        for cell_id, words in considered
                    ],
                    repeated=repeated,
                    revision=revision,
                )

    async def Release(
        self, request: placement_pb2.ReleaseRequest, context: Context
    ) -> placement_pb2.ReleaseResponse:
        stamp = stamp_of_caller(request.reason)
        _check_key(request.request_key)
        released = await self._placements.release(request.request_key, stamp)
        if released.placement is None:
            return placement_pb2.ReleaseResponse()
        log.info(
            "newcomer_released by=%s key=%s cell=%d revision=%d reason=%r",
            stamp.updated_by,
            audit.named(request.request_key),
            released.placement.cell_id,
            released.revision,
            stamp.reason,
        )
        return placement_pb2.ReleaseResponse(
            found=True, cell_id=released.placement.cell_id, revision=released.revision
        )

    async def GetPlacement(
        self, request: placement_pb2.GetPlacementRequest, context: Context
    ) -> placement_pb2.GetPlacementResponse:
        _check_key(request.request_key)
        found = await self._placements.find(request.request_key)
        if found is None:
            raise not_found(f"nobody was placed by the key {request.request_key!r}")
        message = placement_pb2.GetPlacementResponse(
            request_key=found.wish.key,
            region=found.wish.region,
            ring=found.wish.ring,
            owner=found.wish.owner,
            cell_id=found.cell_id,
            why=found.why,
            updated_by=found.stamp.updated_by,
            reason=found.stamp.reason,
        )
        moment = forms.parse_utc(found.stamp.updated_at)
        if moment is not None:
            message.updated_at.CopyFrom(Timestamp())
            message.updated_at.FromDatetime(moment)
        return message

    async def GetOccupancy(
        self, request: placement_pb2.GetOccupancyRequest, context: Context
    ) -> placement_pb2.GetOccupancyResponse:
        placed = await self._placements.occupancy()
        cells = self._sources.view.cells.values()
        return placement_pb2.GetOccupancyResponse(
            cells=[
                placement_pb2.Occupancy(
                    cell_id=cell.id, placed=placed.get(cell.id, 0), capacity=cell.capacity
                )
                for cell in cells
            ]
        )


def _check_key(key: str) -> None:
    if problems := placement_problems(PlacementWish(key=key)):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "PLACEMENT_INVALID")
