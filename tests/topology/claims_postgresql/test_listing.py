"""A listing of all that is on record is of one moment, however many pages it takes."""

from __future__ import annotations

import pytest

from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims.samples import batch, route
from topology.claims.index import ClaimIndex
from topology.claims.store import Begun
from topology.claims_postgresql import listing
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.store import PostgresClaims

pytestmark = NEEDS_POSTGRESQL


async def test_it_is_read_in_pages(
    store: PostgresClaims, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "READ_AT_ONCE", 2)
    begun = await store.begin(batch(1, [f"n{number}" for number in range(5)]), "CELL-1")
    assert isinstance(begun, Begun)
    index = ClaimIndex()
    index.load(await listing.read_all(database))
    assert (index.cursor, len(index), set(index.leases)) == (begun.cursor, 5, {begun.lease.uuid})
    assert index.find(route("n4")) is not None
