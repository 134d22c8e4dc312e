"""Follows the log of changes: everything after a cursor, woken by NOTIFY, and by the clock where that is
lost.

The store opens one for each watcher, on a connection of its own. It never skips a change: cursors are given
in the order in which transactions become visible. `etcd Event -> View -> Snapshot -> Response`, its first
arrow, for claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from topology.claims.store import Changes
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.rows import entries_of
from topology.errors import Compacted, Rewound

AT_ONCE: Final = 500  # changes that are read in one go


async def changes_after(database: Database, after: int, poll_seconds: float) -> AsyncGenerator[Changes, None]:
    """Give every change after a cursor, with the promises of `ClaimStore.watch`."""
    woken = asyncio.Event()
    async with database.dedicated() as connection:

        def wake(*_: object) -> None:
            woken.set()

        with told():
            connection.add_termination_listener(wake)
            await connection.add_listener(statements.CHANNEL, wake)
        bookmark = False
        while True:
            # Before the log is read: what is written from here on wakes us again.
            woken.clear()
            with told():
                rows = await connection.fetch(statements.CHANGES, after, AT_ONCE)
            if after < rows[0]["pruned"]:
                raise Compacted(rows[0]["pruned"])
            if after > rows[0]["newest"]:
                raise Rewound(after, rows[0]["newest"])
            if not bookmark:
                yield Changes(after)
                bookmark = True
            for row in rows:
                if row["cursor"] is not None:
                    after = row["cursor"]
                    yield Changes(after, entries_of(row["keys"], row["bodies"]))
            if len(rows) < AT_ONCE and not await woken_within(woken, poll_seconds):
                yield Changes(after)


async def woken_within(woken: asyncio.Event, seconds: float) -> bool:
    """Wait, and say whether somebody woke us."""
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return False
    return True
