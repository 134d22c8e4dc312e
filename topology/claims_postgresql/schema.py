"""The tables of the claims, as numbered steps that are only ever added to.

`migration` applies those that a database lacks. Each step leaves the tables so that the release before can
still work on them: replicas are replaced one by one. Pure data. Third road: where a transaction writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step. `index`: it makes this index without holding up writers, so outside of a transaction."""

    number: int
    name: str
    statement: str
    index: str = ""

    @property
    def checksum(self) -> str:
        """Give what tells that a step was changed after it had been applied somewhere."""
        return sha256(self.statement.encode()).hexdigest()[:16]


BOOK: Final = """\
CREATE TABLE IF NOT EXISTS claim_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user
)"""

_TABLES: Final = """\
-- Values are compared byte by byte, whatever the locale; an index holds 32 bytes of each, for a value may be
-- longer than an index can hold.
CREATE FUNCTION claim_digest(value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT sha256(convert_to(value, 'UTF8')) $$;

CREATE TABLE claim_leases (
    uuid uuid PRIMARY KEY,
    cell_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text NOT NULL
);

CREATE TABLE claims (
    uuid uuid PRIMARY KEY,
    bucket_type smallint NOT NULL,
    bucket_value text COLLATE "C" NOT NULL,
    bucket_digest bytea NOT NULL GENERATED ALWAYS AS (claim_digest(bucket_value)) STORED,
    subject_type smallint NOT NULL,
    subject_id bigint NOT NULL,
    source_type smallint NOT NULL,
    source_id bytea NOT NULL,
    user_data_type text,
    user_data bytea,
    spelling text NOT NULL,
    cell_id bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('ACTIVE', 'LEASE_CREATING', 'LEASE_DESTROYING')),
    lease uuid REFERENCES claim_leases,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text NOT NULL,
    CHECK ((status = 'ACTIVE') = (lease IS NULL)),
    CHECK ((user_data_type IS NULL) = (user_data IS NULL))
);

-- One row for each transaction: the keys that it wrote, and what it wrote there; NULL where it deleted.
-- The cursor is given as the last thing before the commit, under a lock, so that it rises with visibility.
CREATE SEQUENCE claim_cursor;
CREATE TABLE claim_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cursor bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    keys text[] NOT NULL,
    bodies text[] NOT NULL,
    -- Generations of what it dropped or moved: whoever remembers a lookup there has to forget it.
    slots smallint[] NOT NULL
);

-- One row: up to which cursor changes have been thrown away, and generations have been told to the topology.
CREATE TABLE claim_log (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    pruned bigint NOT NULL DEFAULT 0,
    published bigint NOT NULL DEFAULT 0
);
INSERT INTO claim_log DEFAULT VALUES;

-- Copies from another store into this one; while one is not finished, no service works here.
CREATE TABLE claim_copies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);"""

_OWNERS: Final = """\
-- An owner that was moved: where its claims are, and at which epoch.
CREATE TABLE claim_owners (
    subject_type smallint,
    subject_id bigint,
    cell_id bigint NOT NULL,
    epoch bigint NOT NULL CHECK (epoch >= 1),
    updated_by text NOT NULL,
    updated_at text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (subject_type, subject_id)
);

-- Who moved whom, when and why; the same request is answered from here.
CREATE TABLE claim_transfers (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body text NOT NULL,
    departures text[] NOT NULL
);

ALTER TABLE claim_changes ADD COLUMN departures text[] NOT NULL DEFAULT '{}';"""

MIGRATIONS: Final = (
    Migration(number=1, name="claims, leases and the log of changes", statement=_TABLES),
    Migration(
        number=2,
        name="a claim is unique in its bucket",
        index="claims_bucket",
        statement="CREATE UNIQUE INDEX CONCURRENTLY claims_bucket ON claims (bucket_type, bucket_digest)",
    ),
    Migration(
        number=3,
        name="the records of a lease",
        index="claims_lease",
        statement="CREATE INDEX CONCURRENTLY claims_lease ON claims (lease) WHERE lease IS NOT NULL",
    ),
    Migration(
        number=4,
        name="changes after a cursor",
        index="claim_changes_cursor",
        statement="CREATE UNIQUE INDEX CONCURRENTLY claim_changes_cursor ON claim_changes (cursor)",
    ),
    Migration(number=5, name="owners and transfers", statement=_OWNERS),
    Migration(
        number=6,
        name="the claims of an owner",
        index="claims_subject",
        statement="CREATE INDEX CONCURRENTLY claims_subject ON claims (subject_type, subject_id)",
    ),
)
NEWEST: Final = MIGRATIONS[-1].number
