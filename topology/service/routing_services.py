"""GitLab's services around routing: ClassifyService, CellService, HealthService.

The server registers them. They answer from memory and wait for nobody. `Request -> ClassificationKey ->
Decision`, as gRPC has it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from pb.gitlab.cells.topology_service import (
    cell_info_pb2,
    cell_service_pb2,
    cell_service_pb2_grpc,
    classify_service_pb2,
    classify_service_pb2_grpc,
    health_service_pb2,
    health_service_pb2_grpc,
)
from topology.claims.model import Bucket, Record
from topology.model import Cell
from topology.overrides import NONE, OverridesOf
from topology.service.cell_info import address_of, cell_info, is_listed
from topology.service.claim_wire import classified_claims
from topology.service.classify import (
    NOTHING,
    Blocked,
    ByCellId,
    ByClaims,
    BySessionPrefix,
    ClassificationKey,
    FirstCell,
    NoCell,
    Overruled,
    Routed,
    classify,
    overruled,
)
from topology.service.failure import Failure, invalid, not_found
from topology.service.gate import Context
from topology.service.sources import Sources
from topology.view import View

CLASSIFY: Final = "/gitlab.cells.topology_service.ClassifyService/Classify"
MOST_ANSWERS: Final = 10_000
MOST_BYTES: Final = 1024  # of a request whose answer is kept: clients choose how long it is
NOT_UNDERSTOOD: Final = ("UNKNOWN", "invalid")


def all_cells(sources: Sources) -> cell_info_pb2.GetCellsResponse:
    """Spell the cells that there are, in the order of their ids."""
    cells = [cell_info(cell) for cell in sources.view.cells.values() if is_listed(cell)]
    return cell_info_pb2.GetCellsResponse(cells=cells)


class ClassifyService(classify_service_pb2_grpc.ClassifyServiceServicer):
    """Says which cell a request belongs to. `decisions` counts (kind of key, outcome)."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.decisions: Counter[tuple[str, str]] = Counter()
        self._overrides_of = OverridesOf()
        self._answers: dict[bytes, tuple[bytes, tuple[str, str]]] = {}
        self._as_of: tuple[View | None, int] = None, 0

    async def GetCells(
        self, request: cell_info_pb2.GetCellsRequest, context: Context
    ) -> cell_info_pb2.GetCellsResponse:
        return all_cells(self._sources)

    async def Classify(  # type: ignore[override]  # unread: most requests were answered before
        self, request: bytes, context: Context
    ) -> bytes:
        sources = self._sources
        view, cursor = self._as_of
        if sources.newest_view() is not view or sources.follower.index.cursor != cursor:
            self._answers.clear()
            self._as_of = sources.newest_view(), sources.follower.index.cursor
        kept = self._answers.get(request)
        if kept is not None:
            self.decisions[kept[1]] += 1
            return kept[0]
        try:
            asked = classify_service_pb2.ClassifyRequest.FromString(request)
        except DecodeError:
            self.decisions[NOT_UNDERSTOOD] += 1
            raise invalid("the request is no ClassifyRequest") from None
        decision = self.decide(asked)
        answer = routed_message(decision.cell).SerializeToString()
        # An override ends by the clock, which no View tells of.
        if len(request) <= MOST_BYTES and self._by_hand(sources.view) is NOTHING:
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            self._answers[request] = answer, (type(key_of(asked)).__name__, "routed")
        return answer

    def decide(self, request: classify_service_pb2.ClassifyRequest) -> Routed:
        """Decide and count. Raises Failure where there is no cell, a normal answer, or no question."""
        try:
            key = key_of(request)
        except Failure:
            self.decisions[NOT_UNDERSTOOD] += 1
            raise
        kind = type(key).__name__
        view = self._sources.view
        decision = classify(view, self._finder(key), key, self._by_hand(view))
        if isinstance(decision, NoCell):
            self.decisions[kind, "not_found"] += 1
            raise not_found(decision.reason)
        if isinstance(decision, Blocked):
            self.decisions[kind, "blocked"] += 1
            raise _blocked(decision)
        self.decisions[kind, "routed"] += 1
        return decision

    def _by_hand(self, view: View) -> Overruled:
        overrides = self._overrides_of(view)
        return NOTHING if overrides is NONE else overruled(overrides, datetime.now(UTC))

    def _finder(self, key: ClassificationKey) -> Any:
        return self._sources.claims.find if isinstance(key, ByClaims) else _nothing


def _blocked(decision: Blocked) -> Failure:
    """Refuse, with what the edge's 403 is here; "not found" would send the owner to the default cell."""
    words = f"{decision.bucket} is {decision.owner}'s, which operators block until {decision.until}"
    about = {"owner": decision.owner, "until": decision.until}
    return Failure(grpc.StatusCode.PERMISSION_DENIED, words, "OWNER_BLOCKED", about)


def routed_message(cell: Cell) -> classify_service_pb2.ClassifyResponse:
    """Spell that a request goes to a cell."""
    return classify_service_pb2.ClassifyResponse(
        action=classify_service_pb2.PROXY,
        proxy=classify_service_pb2.ProxyInfo(address=address_of(cell)),
    )


def _nothing(_: Bucket) -> Record | None:
    raise AssertionError("only claims are looked up")


def key_of(request: classify_service_pb2.ClassifyRequest) -> ClassificationKey:
    """Read what a request is classified by. Claims stand before type and value."""
    if buckets := classified_claims(request):
        return ByClaims(buckets)
    match request.type:
        case classify_service_pb2.FIRST_CELL:
            return FirstCell()
        case classify_service_pb2.SESSION_PREFIX:
            return BySessionPrefix(request.value)
        case classify_service_pb2.CELL_ID:
            if not (request.value.isascii() and request.value.isdigit() and len(request.value) <= 19):
                raise invalid(f"value: {request.value[:64]!r} is no cell id: send a number")
            return ByCellId(int(request.value))
        case classify_service_pb2.UNSPECIFIED:
            raise invalid('invalid type: "UNSPECIFIED"')
        case other:
            raise invalid(f'invalid type: "{other}"')


class CellService(cell_service_pb2_grpc.CellServiceServicer):
    """Says what a cell may hand out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def GetCell(
        self, request: cell_service_pb2.GetCellRequest, context: Context
    ) -> cell_service_pb2.GetCellResponse:
        cell = self._sources.view.cells.get(request.cell_id)
        if cell is None or not is_listed(cell):
            raise not_found(f"there is no cell {request.cell_id}")
        return cell_service_pb2.GetCellResponse(cell_info=cell_info(cell))


class HealthService(health_service_pb2_grpc.HealthServiceServicer):
    """Answers probes: the status says it all. It is outside the gate."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def ReadinessProbe(
        self, request: health_service_pb2.ReadinessProbeRequest, context: Context
    ) -> health_service_pb2.ReadinessProbeResponse:
        if not self._sources.ready:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "topology or claims have not been read yet")
        return health_service_pb2.ReadinessProbeResponse()

    async def LivenessProbe(
        self, request: health_service_pb2.LivenessProbeRequest, context: Context
    ) -> health_service_pb2.LivenessProbeResponse:
        return health_service_pb2.LivenessProbeResponse()
