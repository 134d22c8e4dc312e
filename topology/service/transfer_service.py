"""Our own TransferService: owners looked up, and moved with all that is claimed for them.

The server registers it. What a transfer is and when it is refused `topology.claims` says; whether the other
cell takes newcomers is asked here. Third road: where the wish for a transfer comes in.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from pb.cellplane.topology.v1 import transfer_pb2, transfer_pb2_grpc
from topology import forms
from topology.arrivals import arrival_problems, as_arrived_at
from topology.checks import stamp_problems
from topology.claims.owners import FIRST_EPOCH, name_of
from topology.claims.store import ClaimStore, Invalid
from topology.claims.transfer import (
    Hindered,
    Previewed,
    Transferred,
    TransferStore,
    TransferWish,
    Unfit,
    wish_problems,
)
from topology.departing import DEPARTING
from topology.departures import plan_forgetting
from topology.errors import StoreError
from topology.keys import Keyspace
from topology.model import Problem, Stamp
from topology.placements import Placements
from topology.service.departure_gate import SWEEP_SECONDS, DepartureGate
from topology.service.failure import Failure, hindered, invalid, invalid_fields, not_found, owner_named
from topology.service.gate import Context, current_caller
from topology.service.owners_in_cell import owners_in
from topology.service.sources import Sources
from topology.store import Store

MAX_OWNERS_TOLD: Final = 10_000

log = logging.getLogger("topology.audit")


class TransferService(transfer_pb2_grpc.TransferServiceServicer):
    """Transfers, on claim stores that can do them."""

    def __init__(self, sources: Sources, claims: ClaimStore, store: Store, keyspace: Keyspace) -> None:
        self._sources = sources
        self._placements = Placements(store, keyspace)
        self._gate = DepartureGate(claims, store, keyspace) if isinstance(claims, TransferStore) else None
        self._topology = store

    async def Transfer(
        self, request: transfer_pb2.TransferRequest, context: Context
    ) -> transfer_pb2.TransferResponse:
        if self._gate is None:
            words = "this service's claim store can't transfer: ask one whose claims are in etcd"
            raise Failure(grpc.StatusCode.UNIMPLEMENTED, words, "TRANSFER_UNAVAILABLE")
        wish = _wish(request)
        caller = current_caller().name
        _check_stamp(caller, wish.reason)
        if problems := tuple(wish_problems(wish)):
            raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "TRANSFER_INVALID")
        wish = replace(
            wish,
            unfit=tuple([each async for each in self._unfit(wish, force=request.force)]),
            arrival=as_arrived_at(self._sources.view, wish.to_cell),
        )
        outcome = await self._gate.transfer(wish, caller, self._sources.follower)
        match outcome:
            case Invalid(problems):
                raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "TRANSFER_INVALID")
            case Unfit(problems):
                raise invalid_fields(problems, grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
            case Hindered(obstacles):
                raise hindered(obstacles)
            case Previewed(records):
                return transfer_pb2.TransferResponse(records=records, summary=_told(wish, records))
            case Transferred(transfer, cursor, repeated):
                # Before and after in one line: the audit of who moved what.
                log.info(
                    "owners_transferred by=%s request=%s from=%d to=%d owners=%s records=%d cursor=%d "
                    "repeated=%s reason=%r",
                    caller,
                    wish.id,
                    wish.from_cell,
                    wish.to_cell,
                    ",".join(f"{name_of(each)}:{epoch}->{epoch + 1}" for each, epoch in wish.owners),
                    transfer.records,
                    cursor,
                    repeated,
                    wish.reason,
                )
                await self._forget()
                return transfer_pb2.TransferResponse(
                    cursor=cursor,
                    repeated=repeated,
                    records=transfer.records,
                    summary=_told(wish, transfer.records),
                )

    async def GetOwner(
        self, request: transfer_pb2.GetOwnerRequest, context: Context
    ) -> transfer_pb2.GetOwnerResponse:
        subject = owner_named(request.owner, "owner")
        index = self._sources.claims
        owner, buckets = index.owners.get(subject), index.claimed_for(subject)
        records = [record for bucket in buckets if (record := index.find(bucket)) is not None]
        if owner is None and not records:
            raise not_found(f"{request.owner}: no cell claims anything for it")
        message = transfer_pb2.GetOwnerResponse(
            owner=request.owner,
            cells=[owner.cell_id]
            if owner and owner.epoch > FIRST_EPOCH
            else sorted({record.cell_id for record in records}),
            epoch=owner.epoch if owner else FIRST_EPOCH,
            records=len(records),
            leases=sorted({record.lease for record in records if record.lease}),
        )
        if owner is not None:
            message.transfer = owner.transfer
            message.updated_by, message.reason = owner.stamp.updated_by, owner.stamp.reason
            moment = forms.parse_utc(owner.stamp.updated_at)
            if moment is not None:
                message.updated_at.CopyFrom(Timestamp())
                message.updated_at.FromDatetime(moment)
        return message

    async def ListOwners(
        self, request: transfer_pb2.ListOwnersRequest, context: Context
    ) -> transfer_pb2.ListOwnersResponse:
        if not 0 <= request.limit <= MAX_OWNERS_TOLD:
            raise invalid(f"limit: {request.limit} is out of range: use 0 to {MAX_OWNERS_TOLD}")
        found = await owners_in(self._sources.claims, request.cell_id)
        owners = self._sources.claims.owners
        return transfer_pb2.ListOwnersResponse(
            owners=[
                transfer_pb2.OwnerInCell(
                    owner=name_of(subject),
                    epoch=owner.epoch if (owner := owners.get(subject)) else FIRST_EPOCH,
                    records=records_of,
                )
                for subject, records_of in found.most_common(request.limit or 100)
            ],
            total=len(found),
            records=found.total(),
        )

    async def sweep(self) -> None:
        """From time to time take back what a service announced that died over it. Runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS * (0.5 + random.random()))
            view = self._sources.newest_view()
            if self._gate is not None and view is not None:
                with suppress(StoreError):
                    await self._gate.sweep(view)

    async def _unfit(self, wish: TransferWish, *, force: bool) -> AsyncIterator[Problem]:
        view = self._sources.view
        for problem in arrival_problems(view, wish.to_cell, force=force):
            yield problem
        cell, names = view.cells.get(wish.to_cell), [*map(name_of, wish.subjects)]
        for problem in await self._placements.room_problems(cell, names, force=force):
            yield problem
        for at, (subject, _) in enumerate(wish.owners):
            freeze = view.documents.get((DEPARTING, name_of(subject)))
            if freeze is not None and freeze.body.get("move"):
                message = f"{name_of(subject)} is in move {freeze.body.get('move')}: wait for it, or abort it"
                yield Problem(field=f"owners[{at}].owner", message=message)

    async def _forget(self) -> None:
        """Drop departures that nobody needs any more. The next transfer tries again."""
        txn = plan_forgetting(self._sources.view, datetime.now(UTC))
        if txn is not None:
            with suppress(StoreError):
                await self._topology.commit(txn)


def _wish(request: transfer_pb2.TransferRequest) -> TransferWish:
    return TransferWish(
        id=request.request_id.lower(),
        owners=tuple(
            (owner_named(each.owner, f"owners[{at}].owner"), each.expected_epoch)
            for at, each in enumerate(request.owners)
        ),
        from_cell=request.from_cell,
        to_cell=request.to_cell,
        reason=request.reason,
        dry_run=request.dry_run,
    )


def _check_stamp(caller: str, reason: str) -> None:
    stamp = Stamp(updated_by=caller, updated_at="2000-01-01T00:00:00Z", reason=reason)
    if problems := stamp_problems(stamp):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "STAMP_INVALID")


def _told(wish: TransferWish, records: int) -> list[str]:
    return [
        *(
            f"{name_of(subject)}: cell {wish.from_cell} -> cell {wish.to_cell}, epoch {epoch} -> {epoch + 1}"
            for subject, epoch in wish.owners
        ),
        f"{records} claim{' goes' if records == 1 else 's go'} along",
    ]
