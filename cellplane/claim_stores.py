"""Where an installation's claims are: in etcd beside the topology, or in PostgreSQL with what goes on beside
it.

The one place where the adapter for claims is chosen. The Topology Service is composed with it; the driver for
PostgreSQL is loaded only where it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cellplane.service import for_ever
from cellplane.settings import ClaimStoreSettings, SettingsError
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import ClaimStore
from topology.claims.stored import StoredClaims
from topology.errors import StoreRefused, StoreUnavailable
from topology.group_commit import GroupCommit
from topology.keys import Keyspace
from topology.store import Committed, Compare, GroupingStore, Store, Txn

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Database

log = logging.getLogger("cellplane.claim_stores")


class EtcdClaims:
    """Claims in the store that holds the topology, which somebody else opens and closes.

    What is written at the same moment is written together.
    """

    def __init__(self, store: GroupingStore, keyspace: Keyspace) -> None:
        self._keyspace = ClaimKeyspace.beside(keyspace)
        self._together = GroupCommit(store)
        self.store: ClaimStore = self.on(self._together)

    def on(self, store: Store) -> ClaimStore:
        """Give the claims on the same store behind a fence."""
        return StoredClaims(store, self._keyspace)

    async def check(self) -> None:
        """See nothing to check: keys need no tables."""

    def run(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Send what waits to be written."""
        return [tasks.create_task(for_ever(self._together.run()))]

    async def close(self) -> None:
        """Leave the store to whoever opened it."""

    def __str__(self) -> str:
        return "etcd"


class PostgresqlClaims:
    """Claims in PostgreSQL, their generations told to the topology, their log kept short."""

    def __init__(self, settings: ClaimStoreSettings, store: Store, keyspace: Keyspace) -> None:
        from topology.claims_postgresql.store import PostgresClaims  # noqa: PLC0415  see `open_database`
        from topology.claims_postgresql.upkeep import Upkeep  # noqa: PLC0415

        self._database = open_database(settings)

        async def stands(fence: tuple[Compare, ...]) -> bool:
            return isinstance(await store.commit(Txn(compares=fence)), Committed)

        claims = PostgresClaims(self._database, stands=stands)
        self.store: ClaimStore = claims
        self._check = claims.check
        self.upkeep = Upkeep(self._database, claims, store, keyspace)

    def on(self, _: Store) -> ClaimStore:
        """Give the claims, whose own transactions and epochs are their fence."""
        return self.store

    async def check(self) -> None:
        """Raise SettingsError where the database is there and can't be used; one that is away may come
        back.
        """
        try:
            await self._check()
        except StoreRefused as error:
            raise SettingsError(f"--claim-store {self._database.address}: {error}.") from error
        except StoreUnavailable as error:
            log.warning("claim_store_away store=%s error=%s", self._database.address, error)

    def run(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Do what goes on beside the claims."""
        return [tasks.create_task(for_ever(self.upkeep.run()))]

    async def close(self) -> None:
        """Let go of connections."""
        await self._database.close()

    def __str__(self) -> str:
        return str(self._database.address)


def open_claims(
    settings: ClaimStoreSettings | None, store: GroupingStore, keyspace: Keyspace
) -> EtcdClaims | PostgresqlClaims:
    """Choose the adapter; nothing is sent before its first use. Raise SettingsError where it is not
    installed.
    """
    if settings is None:
        return EtcdClaims(store, keyspace)
    return PostgresqlClaims(settings, store, keyspace)


def open_database(settings: ClaimStoreSettings) -> Database:
    """Give the database of these settings. Raise SettingsError where the driver is not installed."""
    try:
        # The driver is an extra: who keeps claims in etcd does without it.
        from topology.claims_postgresql.connection import Database, Limits  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "--claim-store needs the PostgreSQL driver: pip install 'cellplane[postgresql]'."
        ) from error
    return Database(settings.address, Limits(connections=settings.connections))
