"""What the planner makes of each statement: the tables that it reads whole, and the indexes that it uses.

The test asks about some thousand claims, the proof about a million.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from topology.claims_postgresql import statements
from topology.claims_postgresql.connection import Database

LEASE: Final = "00000000-0000-4000-8000-000000000001"
TABLES: Final = ("claims", "claim_leases", "claim_changes", "claim_owners", "claim_transfers")
# One row.
SMALL: Final = {"claim_log"}
_NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
_NEW: Final = ([LEASE], [1], ["x"], [1], [1], [1], [b""], [None], [None], ["BUCKET"])

# Every statement that runs per call, and the indexes by which it has to find its rows.
WANTED: Final[dict[str, tuple[tuple[Any, ...], set[str]]]] = {
    "GET": ((1, b"x"), {"claims_bucket"}),
    "FIND": (([1] * 60, [b"x"] * 60), {"claims_bucket"}),
    "FIND_AND_HOLD": (([1] * 60, [b"x"] * 60), {"claims_bucket"}),
    "BEGIN": ((LEASE, 1, _NOW, "CELL", *_NEW, [LEASE] * 60), {"claims_pkey"}),
    "CLOSE": ((LEASE, 1, "LEASE_CREATING", _NOW, "CELL"), {"claim_leases_pkey", "claims_lease"}),
    "LEASE": ((LEASE,), {"claim_leases_pkey"}),
    "CHANGES": ((1, 500), {"claim_changes_cursor"}),
    "NEWEST": ((), {"claim_changes_cursor"}),
    "OWNERS": (([1] * 60, [7] * 60), {"claim_owners_pkey"}),
    "CLAIMED": (([1], [7]), {"claims_subject"}),
    "MOVE": (([1], [7], 2, _NOW, "CELL"), {"claims_subject"}),
    "TRANSFER": ((LEASE,), {"claim_transfers_pkey"}),
    "UNPUBLISHED": ((), {"claim_changes_cursor"}),
    "PRUNE": ((_NOW, 1000), {"claim_changes_cursor", "claim_changes_pkey"}),
    "COMMIT": ((), {"claim_changes_pkey"}),
}


_CLAIMS: Final = """
INSERT INTO claims (uuid, bucket_type, bucket_value, subject_type, subject_id, source_type, source_id,
                    spelling, cell_id, status, created_at, updated_at, updated_by)
SELECT gen_random_uuid(), 1 + at % 5, 'name-' || at, 1, at % 10000, 3, int8send(at), 'BUCKET',
       at % 40, 'ACTIVE', now(), now(), 'CELL' FROM generate_series(1, $1::bigint) AS at"""
_LEASES: Final = """
INSERT INTO claim_leases
SELECT gen_random_uuid(), at % 40, now(), now(), 'CELL' FROM generate_series(1, $1::bigint) AS at"""
_CHANGES: Final = """
INSERT INTO claim_changes (cursor, keys, bodies, slots)
SELECT nextval('claim_cursor'), ARRAY['k' || at], ARRAY[repeat('x', 500)], ARRAY[at % 256]
FROM generate_series(1, $1::bigint) AS at"""
_OWNERS: Final = """
INSERT INTO claim_owners
SELECT 1, at, at % 40, 2, 'ADMIN', '', '' FROM generate_series(1, $1::bigint) AS at"""
_TRANSFERS: Final = """
INSERT INTO claim_transfers
SELECT gen_random_uuid(), now(), '{}', '{}' FROM generate_series(1, $1::bigint) AS at"""
_LEASED: Final = """
UPDATE claims SET lease = (SELECT uuid FROM claim_leases LIMIT 1), status = 'LEASE_CREATING'
WHERE subject_id = 1"""


async def fill(database: Database, claims: int, leases: int, changes: int) -> None:
    """Put in claims of 40 cells, open leases and a log, and take stock of them as autovacuum does."""
    async with database.dedicated(statement_timeout="0") as connection:
        for statement, number in (
            (_LEASES, leases), (_CLAIMS, claims), (_CHANGES, changes), (_OWNERS, claims), (_TRANSFERS, claims)
        ):  # fmt: skip
            await connection.execute(statement, number, timeout=600)
        await connection.execute(statements.PUBLISHED, changes - 10)
        for statement in (_LEASED, *(f"VACUUM ANALYZE {table}" for table in TABLES)):
            await connection.execute(statement, timeout=600)


async def plan(database: Database, name: str, generic: bool) -> tuple[set[str], set[str]]:
    """Give the tables that are read from end to end, and the indexes that are used.

    `generic`: as the server plans a statement that it has seen a few times, whatever the values are.
    """
    arguments, _ = WANTED[name]
    statement = getattr(statements, name)
    if name == "COMMIT":  # several statements, of which one looks for a row
        statement = statement.split(";")[1]
    async with database.transaction() as connection:
        if generic:
            await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            await connection.execute(f"PREPARE asked AS {statement}")
            values = f"({', '.join(['NULL'] * len(arguments))})" if arguments else ""
            text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE asked {values}")
            await connection.execute("DEALLOCATE asked")
        else:
            text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    nodes = list(_nodes(json.loads(text)[0]["Plan"]))
    whole = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    return whole, {node["Index Name"] for node in nodes if "Index Name" in node}


def unindexed(name: str, whole: set[str], used: set[str]) -> str:
    """Say what is wrong with a plan; nothing: nothing."""
    _, wanted = WANTED[name]
    if whole <= SMALL and used >= wanted:
        return ""
    return f"{name} reads all of {sorted(whole - SMALL)} and uses {sorted(used)}, of {sorted(wanted)}"


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)
