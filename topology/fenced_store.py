"""A store that writes only while one replica leads: what is handed to code that knows nothing of leaders.

Whoever leads gives it to the claims of its moves. It changes nothing but what is compared. Third road: the
`Txn`s of one who may be deposed at any moment.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from topology.errors import StoreUnavailable
from topology.leader import Leadership
from topology.store import MAX_TXN_OPERATIONS, Batch, Committed, Conflict, Listing, Store, Txn


class FencedStore:
    """A store for one leadership. Reads are as ever.

    A transaction that has no room for one more compare goes as it is: such ones only rewrite what has been
    decided by a fenced one before, and compare it.
    """

    def __init__(self, store: Store, leader: Leadership) -> None:
        self._store = store
        self._leader = leader

    async def list(self, prefix: str, revision: int | None = None) -> Listing:
        """Give everything below the prefix."""
        return await self._store.list(prefix, revision)

    def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        """Give every change below the prefix."""
        return self._store.watch(prefix, after)

    async def commit(self, txn: Txn) -> Committed | Conflict:
        """Do the transaction if its compares hold and the leader leads; raise StoreUnavailable where it does
        not.
        """
        writes: Final = bool(txn.puts or txn.deletes)
        if not writes or len(txn.compares) >= MAX_TXN_OPERATIONS:
            return await self._store.commit(txn)
        outcome = await self._store.commit(self._leader.fenced(txn))
        if isinstance(outcome, Conflict) and self._leader.key in outcome.keys:
            raise StoreUnavailable("another leads by now")
        return outcome

    async def close(self) -> None:
        """Leave the store to whoever opened it."""
