"""Connections to PostgreSQL: a pool with limits, transactions, and connections for those who listen.

The composition root makes a `Database` from an `Address`; the store works through it. It knows no table.
Third road: where a transaction begins and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from topology.claims_postgresql.address import Address
from topology.claims_postgresql.failures import DEAD, told, was_dead
from topology.errors import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Listener: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]

_GOODBYE_SECONDS: Final = 1.0
_BROKEN: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections, and how long anything may take, in seconds."""

    connections: int = 10
    wait: float = 5.0
    statement: float = 10.0
    lock: float = 5.0


DEFAULT_LIMITS: Final = Limits()


class Database:
    """One database. Nothing is sent before its first use, and it survives that the server restarts."""

    def __init__(self, address: Address, limits: Limits = DEFAULT_LIMITS) -> None:
        self.address = address
        self.limits = limits
        self._pool: Pool | None = None
        self._closed = False

    @asynccontextmanager
    async def transaction(self, how: str = "") -> AsyncIterator[Connection]:
        """Give a connection inside a transaction, which is rolled back unless the block committed it."""
        pool = await self._open()
        with told():
            connection = await self._begun(pool, f"BEGIN {how}")
        try:
            yield connection
        finally:
            await _ended(pool, connection)

    @asynccontextmanager
    async def dedicated(self, **settings: str) -> AsyncIterator[Listener]:
        """Give a connection of the caller's own, beside the pool."""
        with told():
            connection = await asyncpg.connect(**self._arguments(settings))
        try:
            yield connection
        finally:
            await _gone(connection)

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement that only reads; once more where its connection turns out to be dead."""
        pool = await self._open()
        for attempt in (1, 2):
            try:
                with told():
                    async with pool.acquire(timeout=self.limits.wait) as connection:
                        return await connection.fetch(statement, *arguments)
            except StoreUnavailable as error:
                if attempt == 2 or not was_dead(error):
                    raise
        raise AssertionError("the second attempt returns or raises")

    async def close(self) -> None:
        """Let go of every connection."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            await _gone(pool)

    async def _open(self) -> Pool:
        if self._closed:
            raise StoreUnavailable("the claim store has been closed")
        if self._pool is None:
            # Nothing waits here: a pool of at least no connections connects when it is asked for one.
            pool: Pool = asyncpg.create_pool(
                min_size=0,
                max_size=self.limits.connections,
                reset=_left_as_it_is,
                **self._arguments({}),
            )
            self._pool = pool
            with told():
                await pool
        return self._pool

    async def _begun(self, pool: Pool, begin: str) -> Connection:
        """Take a connection on which a transaction has begun; one that died in the pool costs an attempt."""
        for attempt in (1, 2):
            connection = await pool.acquire(timeout=self.limits.wait)
            try:
                await connection.execute(begin)
            except BaseException as error:
                # A caller that goes while it waits for a lock: whether it has begun is not known here yet.
                await _ended(pool, connection, perhaps_begun=True)
                if attempt == 2 or not isinstance(error, DEAD):
                    raise
            else:
                return connection
        raise AssertionError("the second attempt returns or raises")

    def _arguments(self, settings: dict[str, str]) -> dict[str, Any]:
        limits = self.limits
        return {
            "dsn": self.address.url,
            "password": self.address.password,
            "timeout": limits.wait,
            "command_timeout": limits.statement + 1,
            # After a failover the old primary may still answer, and must not be written to.
            "target_session_attrs": "read-write",
            "server_settings": {
                "application_name": "cellplane",
                "statement_timeout": f"{int(limits.statement * 1000)}",
                "lock_timeout": f"{int(limits.lock * 1000)}",
                "idle_in_transaction_session_timeout": f"{int(limits.statement * 1000)}",
                **settings,
            },
        }


async def _gone(what: Listener | Pool) -> None:
    """Say good-bye, briefly; whoever does not answer is left without."""
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await what.close()
    except _BROKEN:
        what.terminate()


async def _left_as_it_is(_: object) -> None:
    """Reset nothing: every transaction ends before its connection goes back, and no setting is changed."""


async def _ended(pool: Pool, connection: Connection, *, perhaps_begun: bool = False) -> None:
    """Roll back what is open, and give the connection back; one that fails at it is thrown away."""
    try:
        if not connection.is_closed() and (perhaps_begun or connection.is_in_transaction()):
            await connection.execute("ROLLBACK")
    except _BROKEN:
        with suppress(asyncpg.InterfaceError):  # where it is known to be gone, it has been let go of
            connection.terminate()
    finally:
        with suppress(asyncpg.InterfaceError):
            await pool.release(connection)


def encoding_problem(encoding: str) -> StoreRefused | None:
    """Say what is wrong with a database's encoding."""
    if encoding == "UTF8":
        return None
    return StoreRefused(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")
