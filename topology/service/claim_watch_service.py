"""Watches on claims: every change after a cursor as it is stored, with everything first for who asks for it.

All watchers are told from one history, of what this replica follows anyway; who comes from further back gets
a watch of the claim store's own until it has caught up. `etcd Event -> View -> Snapshot -> Response`, for
claims, as far as a watcher of them goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

from pb.cellplane.topology.v1 import claims_watch_pb2 as wire
from pb.cellplane.topology.v1 import claims_watch_pb2_grpc
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from topology.claims.follower import ClaimFollower
from topology.claims.model import Lease, Record
from topology.claims.owners import Owner, OwnerGone, name_of
from topology.claims.store import Changes, ClaimStore, Gone, LeaseGone, Odd
from topology.errors import StoreError
from topology.service.claim_wire import record_message
from topology.service.failure import invalid
from topology.service.gate import Context
from topology.service.history import History
from topology.service.open_watches import OpenWatches

Told = Record | Gone | Lease | LeaseGone | Owner | OwnerGone
AT_ONCE: Final = 500  # changes in a message: some 100 kB
MOST_BYTES: Final = 1024 * 1024  # with much user data; clients take 4 MB unless told otherwise
_FEW: Final = 20  # the largest are some 25 kB


class ClaimWatchService(claims_watch_pb2_grpc.ClaimWatchServiceServicer):
    """Watches on one claim store. What can't be read is not told; it counts as it last was."""

    def __init__(self, store: ClaimStore, follower: ClaimFollower) -> None:
        self._store = store
        self._follower = follower
        self.watches = OpenWatches()
        self._history = History(_bookmark)
        follower.listen(self)

    def listed(self, cursor: int) -> None:
        """Begin anew with a listing."""
        self._history.listed(cursor)

    def moved(self, changes: Changes) -> None:
        """Have watchers told what changed."""
        if changes.entries:
            self._history.add(
                changes.cursor, len(changes.entries), lambda: tuple(spelled(changes, listed=False))
            )
        else:
            self._history.reached(changes.cursor)

    def broke(self, error: StoreError) -> None:
        """Cut watchers off: what happens meanwhile is not seen here."""
        self._history.broke(error)

    async def WatchClaims(  # type: ignore[override]  # spelled already: the gate lets it through
        self, request: wire.WatchClaimsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        if request.after_cursor < 0:
            raise invalid(f"after_cursor: {request.after_cursor} is none: send one that was given, or 0")
        async for response in self.watches.following(self._changes(request.after_cursor)):
            yield response

    async def _changes(self, after: int) -> AsyncIterator[bytes]:
        if not after:
            listing = await self._everything()
            after = listing.cursor
            for response in spelled(listing, listed=True):
                yield response
                await asyncio.sleep(0)  # a million take half a minute, and others want to be served
        if not self._history.covers(after):
            async with aclosing(self._store.watch(after)) as steps:
                while not self._history.covers(after):
                    changes = await self.watches.next(steps)
                    for response in spelled(changes, listed=False):
                        yield response
                    after = changes.cursor
        async for response in self._history.follow(after, self.watches):
            yield response

    async def _everything(self) -> Changes:
        index = self._follower.index
        if self._history.covers(index.cursor):
            return Changes(index.cursor, index.entries())
        return await self._store.list()


def _bookmark(cursor: int) -> bytes:
    return wire.WatchClaimsResponse(cursor=cursor).SerializeToString()


def spelled(changes: Changes, *, listed: bool) -> Iterator[bytes]:
    """Spell what belongs to one cursor as bytes."""
    return (response.SerializeToString() for response in responses(changes, listed=listed))


def responses(changes: Changes, *, listed: bool) -> Iterator[wire.WatchClaimsResponse]:
    """Spell what belongs to one cursor: in several messages where it is much, all but the last partial."""
    told = [each for each in changes.entries if not isinstance(each, Odd)]
    for at in range(0, max(len(told), 1), AT_ONCE):
        message = wire.WatchClaimsResponse(
            cursor=changes.cursor,
            partial=at + AT_ONCE < len(told),
            listing=listed,
            changes=map(_change, told[at : at + AT_ONCE]),
        )
        yield from _fitting(message)


def _fitting(message: wire.WatchClaimsResponse) -> Iterator[wire.WatchClaimsResponse]:
    """Give a message in halves where it is too large, until each half fits."""
    many = len(message.changes)
    if many <= _FEW or message.ByteSize() <= MOST_BYTES:
        yield message
        return
    rest = wire.WatchClaimsResponse(
        cursor=message.cursor,
        partial=message.partial,
        listing=message.listing,
        changes=message.changes[many // 2 :],
    )
    del message.changes[many // 2 :]
    message.partial = True
    yield from _fitting(message)
    yield from _fitting(rest)


def _change(entry: Told) -> wire.ClaimChange:
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
    return change
