"""The SQL that the store speaks, each statement once. Every one finds its rows by an index: a test asks the
planner.

`store`, `watch` and the copy send them; names of columns are those of `rows`. Pure data. Third road: what a
transaction is made of.
"""

from __future__ import annotations

from typing import Final

# Numbers of advisory locks; those of others in the same database should differ, and only cost time where not.
ORDER_LOCK: Final = 0x43656C6C_00000001
MIGRATION_LOCK: Final = 0x43656C6C_00000002
PRUNE_LOCK: Final = 0x43656C6C_00000003
# Held by the replica that tells, for as long as a service works there; and by a copy.
PUBLISH_LOCK: Final = 0x43656C6C_00000004
CHANNEL: Final = "cellplane_claims"

COLUMNS: Final = (
    "uuid", "bucket_type", "bucket_value", "subject_type", "subject_id", "source_type", "source_id",
    "user_data_type", "user_data", "spelling", "cell_id", "status", "lease", "created_at", "updated_at",
    "updated_by",
)  # fmt: skip


def _columns(of: str = "") -> str:
    return ", ".join(f"{of}{name}" for name in COLUMNS)


GET: Final = f"SELECT {_columns()} FROM claims WHERE bucket_type = $1 AND bucket_digest = $2"

FIND: Final = f"""
SELECT {_columns("c.")}
FROM unnest($1::smallint[], $2::bytea[]) AS wanted (kind, digest)
JOIN claims c ON c.bucket_type = wanted.kind AND c.bucket_digest = wanted.digest"""

# In one order for everybody, so that two batches wait for each other in turn and not in a circle.
FIND_AND_HOLD: Final = f"{FIND} ORDER BY c.bucket_type, c.bucket_digest FOR UPDATE OF c"

BEGIN: Final = f"""
WITH lease AS (
    INSERT INTO claim_leases (uuid, cell_id, created_at, updated_at, updated_by)
    SELECT $1, $2, $3, $3, $4
    WHERE NOT EXISTS (
        SELECT FROM claim_owners o JOIN unnest($8::smallint[], $9::bigint[]) AS s (kind, id)
        ON o.subject_type = s.kind AND o.subject_id = s.id WHERE o.cell_id <> $2
    )
    ON CONFLICT (uuid) DO NOTHING
    RETURNING uuid
), created AS (
    INSERT INTO claims ({_columns()})
    SELECT n.uuid, n.bucket_type, n.bucket_value, n.subject_type, n.subject_id, n.source_type, n.source_id,
           n.user_data_type, n.user_data, n.spelling, $2, 'LEASE_CREATING', lease.uuid, $3, $3, $4
    FROM lease, unnest(
        $5::uuid[], $6::smallint[], $7::text[], $8::smallint[], $9::bigint[], $10::smallint[], $11::bytea[],
        $12::text[], $13::bytea[], $14::text[]
    ) AS n (uuid, bucket_type, bucket_value, subject_type, subject_id, source_type, source_id,
            user_data_type, user_data, spelling)
    ON CONFLICT (bucket_type, bucket_digest) DO NOTHING
    RETURNING 1
), destroying AS (
    UPDATE claims c SET status = 'LEASE_DESTROYING', lease = lease.uuid, updated_at = $3, updated_by = $4
    FROM lease, unnest($15::uuid[]) AS d (uuid)
    WHERE c.uuid = d.uuid AND c.lease IS NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM lease) AS leases,
       (SELECT count(*) FROM created) + (SELECT count(*) FROM destroying) AS records"""

CLOSE: Final = f"""
WITH closed AS (
    DELETE FROM claim_leases WHERE uuid = $1 AND cell_id = $2 RETURNING uuid
), kept AS (
    UPDATE claims c SET status = 'ACTIVE', lease = NULL, updated_at = $4, updated_by = $5
    FROM closed WHERE c.lease = closed.uuid AND c.status = $3
    RETURNING {_columns("c.")}
), dropped AS (
    DELETE FROM claims c USING closed WHERE c.lease = closed.uuid AND c.status <> $3
    RETURNING {_columns("c.")}
)
SELECT records.* FROM closed LEFT JOIN (
    SELECT true AS stays, * FROM kept UNION ALL SELECT false AS stays, * FROM dropped
) records ON true"""

LEASE: Final = "SELECT cell_id FROM claim_leases WHERE uuid = $1"

NOTE: Final = """
INSERT INTO claim_changes (keys, bodies, slots, departures)
VALUES ($1::text[], $2::text[], $3::smallint[], $4::text[])"""

# One message to the server: nobody waits for a client while the lock is held. Each transaction gets its
# cursor when whoever had the lock before can be seen by all, so a reader that has seen one has seen all below
# it. The id stands in a SELECT of its own: `currval` may change by the row, and the whole log would be read.
COMMIT: Final = f"""
SELECT pg_advisory_xact_lock({ORDER_LOCK});
UPDATE claim_changes SET cursor = nextval('claim_cursor')
WHERE id = (SELECT currval(pg_get_serial_sequence('claim_changes', 'id')));
NOTIFY {CHANNEL};
COMMIT"""

# Of the commit before, on its connection.
CURSOR: Final = "SELECT currval('claim_cursor')"

_NEWEST: Final = "greatest(log.pruned, (SELECT max(cursor) FROM claim_changes))"

# What was pruned is read together with what is there: between two statements the log may be pruned.
CHANGES: Final = f"""
SELECT log.pruned, {_NEWEST} AS newest, changes.cursor, changes.keys, changes.bodies
FROM claim_log log LEFT JOIN LATERAL (
    SELECT cursor, keys, bodies FROM claim_changes WHERE cursor > $1 ORDER BY cursor LIMIT $2
) changes ON true
ORDER BY changes.cursor"""

PRUNE: Final = f"""
WITH old AS (
    DELETE FROM claim_changes WHERE id IN (
        SELECT id FROM (
            SELECT id, at FROM claim_changes WHERE cursor IS NOT NULL ORDER BY cursor LIMIT $2
        ) oldest
        WHERE at < $1 AND pg_try_advisory_xact_lock({PRUNE_LOCK})
    ) RETURNING cursor
), noted AS (
    UPDATE claim_log SET pruned = greatest(pruned, (SELECT max(cursor) FROM old))
    WHERE EXISTS (SELECT FROM old)
)
SELECT count(*) AS pruned FROM old"""

# Generations that were dropped or moved since they were last told, and how far that reaches.
UNPUBLISHED: Final = f"""
SELECT log.published, log.pruned, {_NEWEST} AS newest, ARRAY(
    SELECT DISTINCT slot FROM claim_changes, unnest(slots) AS slot WHERE cursor > log.published ORDER BY slot
) AS slots, ARRAY(
    SELECT departure FROM claim_changes, unnest(departures) AS departure
    WHERE cursor > log.published ORDER BY cursor
) AS departures
FROM claim_log log"""

PUBLISHED: Final = "UPDATE claim_log SET published = greatest(published, $1)"

NEWEST: Final = f"SELECT {_NEWEST} AS cursor FROM claim_log log"
# Begins for an owner share the lock of its slot, a transfer has it alone.
OWNER_LOCK: Final = 0x43656C6C
# Begins of a cell share its lock; who relies on it owning nothing has it alone.
CELL_LOCK: Final = 0x43656C6D
CELL_SLOTS: Final = 1024
OWNER_SLOTS: Final = 64

_OWNER_COLUMNS: Final = (
    "o.subject_type, o.subject_id, o.cell_id, o.epoch, o.updated_by, o.updated_at, o.reason"
)
OWNERS: Final = f"""
SELECT {_OWNER_COLUMNS} FROM unnest($1::smallint[], $2::bigint[]) AS wanted (kind, id)
JOIN claim_owners o ON o.subject_type = wanted.kind AND o.subject_id = wanted.id"""
ALL_OWNERS: Final = f"SELECT {_OWNER_COLUMNS} FROM claim_owners o"

CLAIMED: Final = f"""
SELECT {_columns("c.")} FROM unnest($1::smallint[], $2::bigint[]) AS wanted (kind, id)
JOIN claims c ON c.subject_type = wanted.kind AND c.subject_id = wanted.id FOR UPDATE OF c"""
MOVE: Final = """
UPDATE claims c SET cell_id = $3, updated_at = $4, updated_by = $5
FROM unnest($1::smallint[], $2::bigint[]) AS wanted (kind, id)
WHERE c.subject_type = wanted.kind AND c.subject_id = wanted.id"""
OWN: Final = """
INSERT INTO claim_owners (subject_type, subject_id, cell_id, epoch, updated_by, updated_at, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (subject_type, subject_id) DO UPDATE SET
    cell_id = excluded.cell_id, epoch = excluded.epoch, updated_by = excluded.updated_by,
    updated_at = excluded.updated_at, reason = excluded.reason"""
TRANSFER: Final = "SELECT body FROM claim_transfers WHERE id = $1"
TRANSFERRED: Final = "INSERT INTO claim_transfers (id, body, departures) VALUES ($1, $2, $3::text[])"
# Where a part of the log was pruned untold.
ALL_DEPARTURES: Final = """
SELECT departure FROM claim_transfers, unnest(departures) AS departure ORDER BY at"""

ALL_LEASES: Final = "SELECT uuid, cell_id, created_at, updated_at, updated_by FROM claim_leases"
ALL_CLAIMS: Final = f"SELECT {_columns()} FROM claims"

VERSION: Final = """
SELECT coalesce(max(number), 0) AS version,
       (SELECT min(source) FROM claim_copies WHERE finished_at IS NULL) AS copying
FROM claim_migrations"""

# The copy from another store. A cursor is given to each change that a service makes, and by nobody else.
COPYING: Final = """
SELECT last.source, last.id IS NOT NULL AND last.finished_at IS NULL AS unfinished,
       (SELECT is_called FROM claim_cursor) AS used,
       EXISTS (SELECT FROM claims) OR EXISTS (SELECT FROM claim_leases) OR EXISTS (SELECT FROM claim_owners)
           AS filled
FROM (VALUES (1)) AS one LEFT JOIN (SELECT * FROM claim_copies ORDER BY id DESC LIMIT 1) AS last ON true"""
COPY_BEGUN: Final = "INSERT INTO claim_copies (source) VALUES ($1)"
# Whoever listed before, or while it was copied, lists again: what is copied is in no log.
COPY_FINISHED: Final = f"""
UPDATE claim_copies SET finished_at = now() WHERE finished_at IS NULL;
UPDATE claim_log SET pruned = pruned + 1, published = pruned + 1;
SELECT setval('claim_cursor', pruned + 1, false) FROM claim_log;
NOTIFY {CHANNEL}"""
COPY_LEASE: Final = """
INSERT INTO claim_leases (uuid, cell_id, created_at, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)"""
DROP_CLAIMS: Final = "DELETE FROM claims WHERE uuid = ANY ($1::uuid[])"
DROP_LEASES: Final = "DELETE FROM claim_leases WHERE uuid = ANY ($1::uuid[])"
DROP_OWNERS: Final = "DELETE FROM claim_owners"
