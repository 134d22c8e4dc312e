"""Rows as records, and changes as keys and bodies."""

from __future__ import annotations

import hashlib
from uuid import UUID

from tests.topology.claims.samples import LEASE_1, NOON, lease, record, route
from topology.claims.model import Bucket, BucketType, Status, UserData
from topology.claims.rules import Unreadable
from topology.claims.store import Gone, LeaseGone, Odd
from topology.claims_postgresql.rows import (
    change_of,
    columns_of,
    digest,
    entries_of,
    found_in,
    lease_of,
    record_of,
)

ROW = {
    "uuid": UUID("00000000-0000-4000-9000-00000000000a"),
    "bucket_type": 1,
    "bucket_value": "acme",
    "subject_type": 2,
    "subject_id": 42,
    "source_type": 3,
    "source_id": (7).to_bytes(8, "big"),
    "user_data_type": None,
    "user_data": None,
    "spelling": "BUCKET",
    "cell_id": 1,
    "status": "ACTIVE",
    "lease": None,
    "created_at": NOON,
    "updated_at": NOON,
    "updated_by": "CELL-1",
}
ACME = record("acme")


def test_a_row_is_a_record() -> None:
    assert record_of(ROW) == ACME
    leased = {**ROW, "status": "LEASE_CREATING", "lease": UUID(LEASE_1)}
    assert record_of(leased) == record("acme", status=Status.LEASE_CREATING, lease=LEASE_1)
    data = {**ROW, "user_data_type": "t", "user_data": b"d"}
    assert record_of(data) == ACME._replace(metadata=ACME.metadata._replace(user_data=UserData("t", b"d")))


def test_a_row_of_a_later_version_is_odd() -> None:
    unknown = record_of({**ROW, "bucket_type": 99})
    assert isinstance(unknown, Odd)
    assert unknown.about == unknown.key == "claims/00000000-0000-4000-9000-00000000000a"
    odd = record_of({**ROW, "source_type": 99})
    assert odd == Odd(
        "/cellplane/v1-claims/records/ROUTES/acme", "99 is not a valid SourceType", route("acme")
    )
    found = found_in([ROW, {**ROW, "bucket_value": "odd", "spelling": "?"}, {**ROW, "bucket_type": 99}])
    assert found == {
        route("acme"): ACME,
        route("odd"): Unreadable(route("odd"), "'?' is not a valid Spelling"),
    }


def test_a_row_is_a_lease() -> None:
    row = {
        "uuid": UUID(LEASE_1), "cell_id": 1, "created_at": NOON, "updated_at": NOON, "updated_by": "CELL-1"
    }  # fmt: skip
    assert lease_of(row) == lease()


def test_values_are_told_apart_by_their_bytes() -> None:
    assert digest(route("é")) == hashlib.sha256(b"\xc3\xa9").digest()
    assert digest(Bucket(BucketType.EMAILS, "a")) == digest(route("a"))


def test_new_records_are_columns() -> None:
    with_data = ACME._replace(metadata=ACME.metadata._replace(user_data=UserData("t", b"d")))
    assert columns_of([ACME, with_data]) == (
        [ACME.uuid, ACME.uuid],
        [1, 1],
        ["acme", "acme"],
        [2, 2],
        [42, 42],
        [3, 3],
        [b"\0\0\0\0\0\0\0\x07", b"\0\0\0\0\0\0\0\x07"],
        [None, "t"],
        [None, b"d"],
        ["BUCKET", "BUCKET"],
    )


def test_a_change_says_what_it_did() -> None:
    keys, bodies = change_of([lease(), record("a b")], [route("old")], [LEASE_1])
    assert keys == [
        f"/cellplane/v1-claims/leases/{LEASE_1}",
        "/cellplane/v1-claims/records/ROUTES/a%20b",
        "/cellplane/v1-claims/records/ROUTES/old",
        f"/cellplane/v1-claims/leases/{LEASE_1}",
    ]
    assert bodies[2:] == [None, None]
    assert entries_of(keys, bodies) == (lease(), record("a b"), Gone(route("old")), LeaseGone(LEASE_1))
    odd = entries_of(keys[:2], ["{}", "{}"])
    assert [type(entry) for entry in odd] == [Odd, Odd]
