"""Watches on claims: every change after a cursor as it is stored, with everything first for who asks for it.

The server registers it; each watcher has a watch of the claim store's own. `etcd Event -> View -> Snapshot ->
Response`, for claims, as far as a watcher of them goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

from pb.cellplane.topology.v1 import claims_watch_pb2 as wire
from pb.cellplane.topology.v1 import claims_watch_pb2_grpc
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from topology.claims.model import Lease, Record
from topology.claims.owners import Owner, OwnerGone, name_of
from topology.claims.store import Changes, ClaimStore, Entry, Gone, LeaseGone, Odd
from topology.service.claim_wire import record_message
from topology.service.failure import invalid
from topology.service.gate import Context
from topology.service.open_watches import OpenWatches

AT_ONCE: Final = 500  # changes in a message: some 100 kB


class ClaimWatchService(claims_watch_pb2_grpc.ClaimWatchServiceServicer):
    """Watches on one claim store. What can't be read is not told; it counts as it last was."""

    def __init__(self, store: ClaimStore) -> None:
        self._store = store
        self.watches = OpenWatches()

    async def WatchClaims(
        self, request: wire.WatchClaimsRequest, context: Context
    ) -> AsyncIterator[wire.WatchClaimsResponse]:
        if request.after_cursor < 0:
            raise invalid(f"after_cursor: {request.after_cursor} is none: send one that was given, or 0")
        async for response in self.watches.following(self._changes(request.after_cursor)):
            yield response

    async def _changes(self, after: int) -> AsyncIterator[wire.WatchClaimsResponse]:
        if not after:
            listing = await self._store.list()
            after = listing.cursor
            for response in responses(listing, listed=True):
                yield response
        async with aclosing(self._store.watch(after)) as steps:
            while True:
                for response in responses(await self.watches.next(steps), listed=False):
                    yield response


def responses(changes: Changes, *, listed: bool) -> Iterator[wire.WatchClaimsResponse]:
    """Spell what belongs to one cursor: in several messages where it is much, all but the last partial."""
    told = [each for each in map(_change, changes.entries) if each is not None]
    for at in range(0, max(len(told), 1), AT_ONCE):
        yield wire.WatchClaimsResponse(
            cursor=changes.cursor,
            partial=at + AT_ONCE < len(told),
            listing=listed,
            changes=told[at : at + AT_ONCE],
        )


def _change(entry: Entry) -> wire.ClaimChange | None:
    change = wire.ClaimChange()
    match entry:
        case Record():
            change.record.CopyFrom(record_message(entry))
        case Gone(bucket):
            change.record_removed.type = messages_pb2.Bucket.Type.ValueType(bucket.type)
            change.record_removed.value = bucket.value
        case Lease():
            change.lease.uuid, change.lease.cell_id = entry.uuid, entry.cell_id
            change.lease.phase = wire.LeasePhase.Value(f"LEASE_PHASE_{entry.phase.value}")
        case LeaseGone(uuid):
            change.lease_removed = uuid
        case Owner():
            change.owner.owner, change.owner.cell_id = entry.name, entry.cell_id
            change.owner.epoch, change.owner.transfer = entry.epoch, entry.transfer
        case OwnerGone(subject):
            change.owner_removed = name_of(subject)
        case Odd():
            return None
    return change
