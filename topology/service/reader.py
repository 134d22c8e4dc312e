"""Reads of the topology at a moment that the caller chooses: as known here, as the store has it, as it was.

The services of cells and documents ask it for a View. It writes nothing. `etcd Event -> View -> Snapshot ->
Response`: a View for who asks over gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import grpc

from pb.cellplane.topology.v1 import cells_pb2
from topology.apply import read_view
from topology.errors import Compacted, ListAgain
from topology.keys import Keyspace
from topology.service.failure import Failure, invalid
from topology.service.sources import Sources
from topology.store import Store
from topology.view import Quarantined, View, from_listing


@dataclass(frozen=True, slots=True)
class Read:
    """A View, and whether the store may have gone on without it."""

    view: View
    stale: bool


class Reader:
    """Reads from the sources, or from the store itself."""

    def __init__(self, sources: Sources, store: Store, keyspace: Keyspace) -> None:
        self._sources = sources
        self._store = store
        self._keyspace = keyspace

    async def read(self, revision: int, *, fresh: bool) -> Read:
        """Give the View at a revision (0: the newest known here), or with `fresh` the newest there is.

        Raises Failure where a revision is not in the store any more, or not yet.
        """
        if revision < 0 or (revision and fresh):
            raise invalid("revision: name one from 1, or 0; and none where the newest is asked for")
        if fresh:
            return Read(await read_view(self._store, self._keyspace), stale=False)
        if not revision:
            return Read(self._sources.view, stale=self._sources.stale)
        known = self._sources.newest_view()
        if known is not None and known.revision == revision:
            return Read(known, stale=False)
        try:
            listing = await self._store.list(self._keyspace.root, revision)
        except ListAgain as error:
            gone = isinstance(error, Compacted)
            words = "is no longer in the store: it was compacted" if gone else "is not in the store yet"
            reason = "COMPACTED" if gone else "REVISION_UNKNOWN"
            raise Failure(grpc.StatusCode.OUT_OF_RANGE, f"revision {revision} {words}", reason) from error
        return Read(from_listing(listing, self._keyspace), stale=False)


def kept_out(records: Iterable[Quarantined]) -> list[cells_pb2.KeptOut]:
    """Spell records that are kept out of a View."""
    return [
        cells_pb2.KeptOut(
            key=each.key,
            kind=each.kind.value,
            reason=each.reason,
            revision=each.mod_revision,
            raw=each.raw,
        )
        for each in records
    ]
