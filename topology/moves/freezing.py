"""The freeze of a move: its owners are announced as leaving, so that the source refuses writes for them.

The runner calls it, again until every sidecar knows; a transfer ends it in the write that moves the owners,
an abort takes it back. What sidecars do about it is the bridge's. Third road: plans and commits a `Txn`; it
comes back as an Event.
"""

from __future__ import annotations

from dataclasses import dataclass

from topology.claims.generations import bucket_name
from topology.claims.owners import name_of
from topology.claims.transfer import Hindered, Inventory
from topology.departing import DEPARTING, NAMES, departing_of, names_below
from topology.keys import Keyspace
from topology.moves.crossing import wish_of
from topology.moves.model import Move
from topology.service.announcements import Announcements
from topology.sidecars import SidecarKeys, unacknowledged
from topology.store import Store
from topology.view import from_listing


@dataclass(frozen=True, slots=True)
class Frozen:
    """The owners are frozen since a revision; these sidecars of the source have not acknowledged it."""

    revision: int
    behind: tuple[str, ...]


class Freezer:
    """Freezes in one topology."""

    def __init__(
        self, announcements: Announcements, store: Store, keyspace: Keyspace, inventory: Inventory
    ) -> None:
        self._announcements = announcements
        self._store = store
        self._keyspace = keyspace
        self._sidecars = SidecarKeys.beside(keyspace)
        self._inventory = inventory

    async def freeze(self, move: Move, *, back: bool) -> Frozen | Hindered:
        """See to it that the owners are frozen in the cell that they are to leave."""
        wish = wish_of(move, back=back)
        buckets = frozenset(await self._inventory.claimed_for(wish.subjects, 0))
        revision = await self._standing(move, {bucket_name(bucket) for bucket in buckets}, back=back)
        if not revision:
            announced = await self._announcements.announce(wish, move.stamp.updated_by, buckets, move.id)
            if isinstance(announced, Hindered):
                return announced
            revision = announced[1]
        # Also those that are cut off, which no control plane tells of.
        listing = await self._store.list(self._sidecars.of_cell(wish.from_cell))
        return Frozen(revision, unacknowledged(map(self._sidecars.read, listing.records), revision))

    async def lift(self, move: Move, *, back: bool = False) -> None:
        """See to it that nothing of the move is frozen."""
        wish = wish_of(move, back=back)
        await self._announcements.lift(wish.subjects, wish.id)

    async def _standing(self, move: Move, names: set[str], *, back: bool) -> int:
        """Give the revision since when all is announced as it should be; 0 where it is not."""
        wish, revision, told = wish_of(move, back=back), 0, set[str]()
        for subject, epoch in wish.owners:
            owner = name_of(subject)
            for prefix in (
                self._keyspace.document(DEPARTING, owner),
                names_below(self._keyspace, owner, epoch + 1),
            ):
                view = from_listing(await self._store.list(prefix), self._keyspace)
                for (kind, name), document in view.documents.items():
                    standing = departing_of(name, document.body, document.stamp)
                    if kind == DEPARTING and name == owner and standing and standing.transfer == wish.id:
                        revision = max(revision, view.document_revision(kind, name))
                    elif kind == NAMES:
                        told.update(document.body.get("claims", ()))
                        revision = max(revision, view.document_revision(kind, name))
                    elif name == owner:
                        return 0
        return revision if names <= told else 0
