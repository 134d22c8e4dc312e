"""What a transaction did is in the log with its commit, or nothing of it is."""

from __future__ import annotations

from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims.samples import lease, route
from topology.claims.generations import slots
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.writing import commit_changes, commit_end, found_by

pytestmark = NEEDS_POSTGRESQL


async def test_a_change_has_its_cursor_and_its_generations(database: Database) -> None:
    for number, gone in enumerate(((), (route("a"), route("b"))), 1):
        async with database.transaction() as connection:
            assert await commit_changes(connection, (lease(),), gone) == number
            assert not connection.is_in_transaction()
        (row,) = await database.fetch("SELECT slots, keys FROM claim_changes WHERE cursor = $1", number)
        assert (tuple(row["slots"]), len(row["keys"])) == (slots(gone), 1 + len(gone))


async def test_a_lease_without_records_ends_too(database: Database) -> None:
    async with database.transaction() as connection:
        await commit_end(connection, lease().uuid, [{"stays": None}])
        assert await found_by(connection, statements.FIND, [route("a")]) == {}
    assert len(await database.fetch("SELECT FROM claim_changes")) == 1
