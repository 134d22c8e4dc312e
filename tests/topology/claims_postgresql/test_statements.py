"""Every statement finds its rows by an index: the planner of a real server is asked."""

from __future__ import annotations

from typing import Final

from tests.postgresql_server import NEEDS_POSTGRESQL
from tests.topology.claims_postgresql.plans import WANTED, fill, plan, unindexed
from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database

# Read all of a table, and are meant to; or are not about claims.
WHOLE: Final = {"ALL_CLAIMS", "ALL_LEASES", "ALL_OWNERS", "ALL_DEPARTURES", "VERSION", "CHANNEL"} | {
    # They write one row, or the only one.
    "NOTE", "PUBLISHED", "OWN", "TRANSFERRED", "CURSOR",
    # Of the copy, which is alone there.
    "COPYING", "COPY_BEGUN", "COPY_FINISHED", "COPY_LEASE", "DROP_CLAIMS", "DROP_LEASES", "DROP_OWNERS",
}  # fmt: skip


def test_no_statement_is_left_out() -> None:
    texts = {name for name, value in vars(statements).items() if name.isupper() and isinstance(value, str)}
    assert {name for name in texts if not name.startswith("_")} == WANTED.keys() | WHOLE


@NEEDS_POSTGRESQL
async def test_every_statement_uses_its_index(database: Database) -> None:
    await fill(database, claims=20_000, leases=2_000, changes=5_000)
    found = [
        unindexed(name, *await plan(database, name, generic)) for name in WANTED for generic in (False, True)
    ]
    assert not [each for each in found if each]
    async with database.transaction() as connection:
        await connection.execute("DROP INDEX claims_bucket")
        await connection.execute("COMMIT")
    assert "GET reads all of ['claims']" in unindexed("GET", *await plan(database, "GET", generic=False))
