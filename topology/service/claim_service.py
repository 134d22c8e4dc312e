"""GitLab's ClaimService: begin, commit, rollback, look up, list.

The server registers it. Writes and GetRecord go to the store, listings come from memory: those who list act
only on what is minutes old. Third road: where a batch of claims comes in.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue

from pb.gitlab.cells.topology_service import cell_info_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2, service_pb2_grpc
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from topology import forms
from topology.apply import read_view
from topology.claims.generations import bucket_name
from topology.claims.index import LeaseQuery, RecordQuery
from topology.claims.model import BucketType, ClaimBatch, Lease, SourceType
from topology.claims.rules import Unreadable, value_problem
from topology.claims.store import Begun, CellChanged, ClaimStore, Closed, Invalid, Obstructed, WrongCell
from topology.departing import FenceOf, plan_strike
from topology.service import audit
from topology.service.cell_info import cell_info
from topology.service.claim_wire import (
    lease_message,
    metadata_of,
    moment_of,
    named,
    record_message,
    uuid_of,
)
from topology.service.claimants import Claimants
from topology.service.failure import Failure, invalid, invalid_fields, not_found, obstructed
from topology.service.gate import Context, current_caller
from topology.service.routing_services import all_cells
from topology.service.sources import Sources
from topology.store import Committed, Store

log = logging.getLogger("topology.service.claims")

MAX_LEASES: Final = 1000
DEFAULT_LEASES: Final = 100
MAX_RECORDS: Final = 1000
_ATTEMPTS: Final = 3
_NAMED: Final = 10  # in a line of the log


class ClaimService(service_pb2_grpc.ClaimServiceServicer):
    """Claims of cells."""

    def __init__(self, sources: Sources, store: ClaimStore, topology: Store) -> None:
        self._sources = sources
        self._store = store
        self._claimants = Claimants(sources, store, topology)
        self._topology = topology
        self._fence_of = FenceOf()

    async def GetCells(
        self, request: cell_info_pb2.GetCellsRequest, context: Context
    ) -> cell_info_pb2.GetCellsResponse:
        return all_cells(self._sources)

    async def GetRecord(
        self, request: service_pb2.GetRecordRequest, context: Context
    ) -> service_pb2.GetRecordResponse:
        bucket, _ = named(
            request.bucket if request.HasField("bucket") else None,
            request.claim if request.HasField("claim") else None,
            "request",
        )
        if problem := value_problem(bucket):
            raise invalid(f"value: {problem}")
        record = await self._store.get(bucket)
        if record is None:
            raise not_found(f"nobody claims {bucket}")
        if isinstance(record, Unreadable):
            raise obstructed((record,))
        cell = self._sources.view.cells.get(record.cell_id)
        return service_pb2.GetRecordResponse(
            record=record_message(record), cell_info=None if cell is None else cell_info(cell)
        )

    async def BeginUpdate(
        self, request: service_pb2.BeginUpdateRequest, context: Context
    ) -> service_pb2.BeginUpdateResponse:
        batch = batch_of(request)
        caller = current_caller().name
        match await self._begun(batch, caller):
            case CellChanged(cell_id):
                words = f"cell {cell_id} was changed {_ATTEMPTS} times meanwhile: try again"
                raise Failure(grpc.StatusCode.UNAVAILABLE, words, "OVERTAKEN", retry_seconds=0.1)
            case Invalid(problems):
                raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
            case Obstructed(obstacles):
                raise obstructed(obstacles)
            case Begun(lease, cursor):
                audit.lease_begun(lease, batch, cursor)
                await self._let_in(batch)
                return service_pb2.BeginUpdateResponse(
                    cell_id=batch.cell_id, lease_uuid=uuid_pb2.UUID(value=lease.uuid)
                )

    async def CommitUpdate(
        self, request: service_pb2.CommitUpdateRequest, context: Context
    ) -> service_pb2.CommitUpdateResponse:
        await self._close(request, commit=True)
        return service_pb2.CommitUpdateResponse()

    async def RollbackUpdate(
        self, request: service_pb2.RollbackUpdateRequest, context: Context
    ) -> service_pb2.RollbackUpdateResponse:
        await self._close(request, commit=False)
        return service_pb2.RollbackUpdateResponse()

    async def ListLeases(
        self, request: service_pb2.ListLeasesRequest, context: Context
    ) -> service_pb2.ListLeasesResponse:
        limit = request.limit if request.HasField("limit") else DEFAULT_LEASES
        if limit < 1:
            raise invalid(f"limit: is {limit}: send 1 to {MAX_LEASES}")
        query = LeaseQuery(
            cell_id=request.cell_id,
            after=_page_after(request.next) if request.HasField("next") else None,
            created_after=(
                moment_of(request.created_after, "created_after")
                if request.HasField("created_after")
                else None
            ),
            limit=min(limit, MAX_LEASES),
        )
        leases, more = self._sources.claims.open_leases(query)
        return service_pb2.ListLeasesResponse(
            leases=[lease_message(lease) for lease in leases],
            next=_page_at(leases[-1]) if more else None,
        )

    async def ListRecords(
        self, request: service_pb2.ListRecordsRequest, context: Context
    ) -> service_pb2.ListRecordsResponse:
        records, truncated = self._sources.claims.records(query_of(request))
        return service_pb2.ListRecordsResponse(
            records=[record_message(record) for record in records], truncated=truncated
        )

    async def _let_in(self, batch: ClaimBatch) -> None:
        """Have names let in again by a cell that claims them anew, after an owner had left it with them."""
        view = self._sources.view
        if not self._fence_of(view).gone:
            return
        names = [bucket_name(each.bucket) for each in batch.creates]
        for _ in range(_ATTEMPTS):
            txn = plan_strike(view, self._fence_of(view).gone, batch.cell_id, names)
            if txn is None or isinstance(await self._topology.commit(txn), Committed):
                return
            view = await read_view(self._topology, view.keyspace)
        shown = [audit.shown(each.bucket) for each in batch.creates[:_NAMED]]
        log.warning("names_still_refused cell=%d names=%s", batch.cell_id, shown)

    async def _close(
        self, request: service_pb2.CommitUpdateRequest | service_pb2.RollbackUpdateRequest, *, commit: bool
    ) -> None:
        lease = uuid_of(request.lease_uuid, "lease_uuid")
        caller = current_caller().name
        close = self._store.commit if commit else self._store.rollback
        match await close(request.cell_id, lease, caller):
            case WrongCell():
                raise Failure(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"lease {lease} does not belong to cell {request.cell_id}",
                    "LEASE_NOT_OWNED",
                )
            case Closed(found, cursor):
                audit.lease_closed(request.cell_id, lease, cursor, commit=commit, found=found)

    async def _begun(self, batch: ClaimBatch, caller: str) -> Begun | Invalid | Obstructed | CellChanged:
        """Begin for a cell that may, and look at it again where it was changed meanwhile."""
        creates = bool(batch.creates)
        outcome: Begun | Invalid | Obstructed | CellChanged = CellChanged(batch.cell_id)
        for attempt in range(_ATTEMPTS):
            cell = await self._claimants.admitted(batch.cell_id, creates=creates, again=attempt > 0)
            outcome = await self._store.begin(batch, caller, cell)
            if not isinstance(outcome, CellChanged):
                break
        return outcome


def batch_of(request: service_pb2.BeginUpdateRequest) -> ClaimBatch:
    """Read a batch."""
    return ClaimBatch(
        cell_id=request.cell_id,
        creates=tuple(
            metadata_of(each, f"create_records[{at}]") for at, each in enumerate(request.create_records)
        ),
        destroys=tuple(
            metadata_of(each, f"destroy_records[{at}]") for at, each in enumerate(request.destroy_records)
        ),
    )


def query_of(request: service_pb2.ListRecordsRequest) -> RecordQuery:
    """Read which records are wanted. Bucket types and claim types add up; none: all."""
    kinds: set[BucketType] = set()
    for name, numbers in (("bucket_types", request.bucket_types), ("claim_types", request.claim_types)):
        for number in map(int, numbers):
            if number not in set(BucketType):
                raise invalid(f"{name}: {number} is not known to this version", "CLAIM_UNKNOWN")
            kinds.add(BucketType(number))
    source = int(request.source_type)
    if source not in set(SourceType):
        raise invalid(f"source_type: {source} is not known to this version")
    return RecordQuery(
        cell_id=request.cell_id,
        source=SourceType(source) if source else None,
        buckets=frozenset(kinds),
        after=request.source_id_gt,
        upto=request.source_id_lte,
        limit=MAX_RECORDS,
    )


def _page_at(lease: Lease) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(StringValue(value=f"{forms.format_utc(lease.created_at)} {lease.uuid}"))
    return packed


def _page_after(message: AnyMessage) -> tuple[datetime, str]:
    text = StringValue()
    if message.Unpack(text):
        moment, _, uuid = text.value.partition(" ")
        created_at = forms.parse_utc(moment)
        if created_at is not None:
            return created_at, uuid
    raise invalid("next: is not what the last page ended with")
