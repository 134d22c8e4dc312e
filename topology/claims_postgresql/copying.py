"""Copies claims from another store into this database, which nobody uses yet, and compares the two.

The command runs it. A copy that was interrupted, or whose source went on changing, is run again and does what
is left; until one has been found equal no service works on the database. Third road.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from topology.claims.index import ClaimIndex
from topology.claims.model import Record
from topology.claims.store import Changes, ClaimStore
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.contents import Contents, Part, contents_of
from topology.claims_postgresql.failures import told
from topology.claims_postgresql.listing import read_all
from topology.claims_postgresql.rows import row_of
from topology.errors import StoreRefused

if TYPE_CHECKING:
    from topology.claims_postgresql.connection import Connection

AT_ONCE: Final = 5000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copied:
    """What was done, or would be: records put and dropped; and both sides by kind, source first."""

    put: int
    dropped: int
    parts: Mapping[str, tuple[Part, Part]]

    @property
    def equal(self) -> bool:
        """Tell whether both sides hold the same."""
        return all(source == target for source, target in self.parts.values())


async def copy_claims(
    source: ClaimStore,
    name: str,
    database: Database,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Copied:
    """Make the database hold what the source holds. Raises StoreRefused where it is not for us to fill.

    `name` says which source it is: a copy goes on only from where it began. A dry run writes nowhere, so
    what a dead service left half-done stops it.
    """
    if dry_run:
        await _may_copy(database, name)
        wanted, there = _readable(await source.list()), _readable(await read_all(database))
        put, dropped = _differing(wanted, there)
        return Copied(len(put), len(dropped), _beside(wanted, there))
    async with _alone(database):
        return await _copied(source, name, database, progress)


async def _copied(
    source: ClaimStore, name: str, database: Database, progress: Callable[[int, int], None]
) -> Copied:
    unfinished = await _may_copy(database, name)
    wanted = await _wanted(source)
    there = _readable(await read_all(database))
    put, dropped = _differing(wanted, there)
    async with _transaction(database) as connection:
        if not unfinished:
            await connection.execute(statements.COPY_BEGUN, name)
        for uuid, lease in wanted.leases.items():
            if uuid not in there.leases:
                await connection.execute(
                    statements.COPY_LEASE, uuid, lease.cell_id, lease.created_at, lease.updated_at,
                    lease.updated_by,
                )  # fmt: skip
        await connection.execute(statements.DROP_OWNERS)
        for owner in wanted.owners.values():
            await connection.execute(
                statements.OWN, int(owner.subject.type), owner.subject.id, owner.cell_id, owner.epoch,
                owner.stamp.updated_by, owner.stamp.updated_at, owner.stamp.reason,
            )  # fmt: skip
    for some in _pieces(dropped):
        async with _transaction(database) as connection:
            await connection.execute(statements.DROP_CLAIMS, some)
    done = 0
    for records in _pieces(put):
        async with _transaction(database) as connection:
            await _put(connection, records)
        done += len(records)
        progress(done, len(put))
    async with _transaction(database) as connection:
        await connection.execute(statements.DROP_LEASES, [*(there.leases.keys() - wanted.leases.keys())])
    return await _compared(source, database, len(put), len(dropped))


async def _compared(source: ClaimStore, database: Database, put: int, dropped: int) -> Copied:
    """Read both sides anew; where they are equal the copy is finished."""
    copied = Copied(put, dropped, _beside(await _wanted(source), _readable(await read_all(database))))
    if copied.equal:
        async with _transaction(database) as connection:
            await connection.execute(statements.COPY_FINISHED)
    return copied


async def _wanted(source: ClaimStore) -> Contents:
    """Read the source, and finish what a service that died left there half-done."""
    listing = await source.list()
    index = ClaimIndex()
    index.load(listing)
    for uuid in index.unfinished():
        await source.settle(uuid)
    return _readable(await source.list() if index.unfinished() else listing)


def _readable(listing: Changes) -> Contents:
    contents = contents_of(listing)
    if isinstance(contents, Contents):
        return contents
    more = f"; and {len(contents) - 5} more" if len(contents) > 5 else ""
    raise StoreRefused(f"it can't be copied as it is: {'; '.join(contents[:5])}{more}")


async def _may_copy(database: Database, name: str) -> bool:
    """See that it is for us to fill: no service has changed claims there, and what there is came from this
    source. Tell whether a copy is unfinished.
    """
    (row,) = await database.fetch(statements.COPYING)
    if row["source"] is not None and row["source"] != name:
        raise StoreRefused(f"a copy from {row['source']} was begun there, and this is {name}")
    if row["used"] or (row["source"] is None and row["filled"]):
        raise StoreRefused(
            "claims were made there since, or before: copy into a database that no service has written to"
        )
    return bool(row["unfinished"])


def _differing(wanted: Contents, there: Contents) -> tuple[list[Record], list[str]]:
    """Say which records are to be put, and which to be dropped before that, by uuid."""
    put = [record for uuid, record in wanted.records.items() if there.records.get(uuid) != record]
    dropped = [uuid for uuid, record in there.records.items() if wanted.records.get(uuid) != record]
    return put, dropped


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    """Keep services and other copies away for as long as the block runs."""
    async with database.dedicated() as connection:
        with told():
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", statements.PUBLISH_LOCK):
                raise StoreRefused(
                    "a Topology Service works there, or another copy does: stop it, and try again"
                )
        yield


@asynccontextmanager
async def _transaction(database: Database) -> AsyncIterator[Connection]:
    async with database.transaction() as connection:
        with told():
            yield connection
            await connection.execute("COMMIT")


async def _put(connection: Connection, records: Sequence[Record]) -> None:
    rows: list[tuple[Any, ...]] = [row_of(record) for record in records]
    await connection.copy_records_to_table("claims", records=rows, columns=statements.COLUMNS)


def _beside(source: Contents, target: Contents) -> dict[str, tuple[Part, Part]]:
    sources, targets = source.parts(), target.parts()
    nothing = Part(0, "")
    return {
        kind: (sources.get(kind, nothing), targets.get(kind, nothing))
        for kind in sorted(sources.keys() | targets.keys())
    }


def _pieces(things: Sequence[T]) -> list[list[T]]:
    rest = iter(things)
    pieces: list[list[T]] = []
    while piece := list(islice(rest, AT_ONCE)):
        pieces.append(piece)
    return pieces
