"""Claims as bytes: what is written, what comes back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.claims.samples import LEASE_1, NOON, lease, metadata, record, route
from topology.claims.codec import (
    decode_lease,
    decode_part,
    decode_record,
    encode_lease,
    encode_part,
    encode_record,
)
from topology.claims.keys import LeaseKey, PartKey
from topology.claims.model import Lease, Phase, Record, Spelling, Status, UserData
from topology.codec import Undecodable

WRITTEN = (
    '{"bucket": ["ROUTES", "äcme"], "cell_id": 2, "created_at": "2026-03-01T12:00:00.000000Z", '
    '"lease": "00000000-0000-4000-8000-000000000001", "schema": 1, '
    '"source": {"id": "0000000000000007", "type": "RAILS_TABLE_ROUTES"}, "spelling": "BOTH", '
    '"status": "LEASE_CREATING", "subject": {"id": 42, "type": "NAMESPACE"}, '
    '"updated_at": "2026-03-01T12:00:00.000000Z", "updated_by": "CELL-1", '
    '"user_data": {"type_url": "x/y", "value": "AAE="}, "uuid": "00000000-0000-4000-9000-00000000000a"}'
)
HELD = record("äcme", 2, Status.LEASE_CREATING, LEASE_1)
FULL = HELD._replace(
    metadata=HELD.metadata._replace(user_data=UserData("x/y", b"\x00\x01"), spelling=Spelling.BOTH),
)


def test_a_record_is_readable_json() -> None:
    assert encode_record(FULL).decode() == WRITTEN


@pytest.mark.parametrize("each", [FULL, record("a")], ids=["full", "plain"])
def test_a_record_comes_back(each: Record) -> None:
    assert decode_record(each.bucket, encode_record(each)) == each


def test_a_lease_is_readable_json_and_comes_back() -> None:
    full = replace(lease(), creates=(route("a"),), destroys=(route("b"),))
    assert json.loads(encode_lease(full)) == {
        "schema": 1,
        "uuid": LEASE_1,
        "cell_id": 1,
        "phase": "OPEN",
        "creates": [["ROUTES", "a"]],
        "destroys": [["ROUTES", "b"]],
        "parts": 0,
        "created_at": "2026-03-01T12:00:00.000000Z",
        "updated_at": "2026-03-01T12:00:00.000000Z",
        "updated_by": "CELL-1",
    }
    for each in (full, replace(lease(phase=Phase.PREPARING), parts=8)):
        assert decode_lease(LeaseKey(LEASE_1), encode_lease(each)) == each


@given(st.text(), st.text(), st.binary(max_size=5), st.none() | st.tuples(st.text(), st.binary(max_size=5)))
def test_any_text_comes_back_out_of_good_json(
    value: str, by: str, source: bytes, kept: tuple[str, bytes] | None
) -> None:
    given_ = metadata(value)
    claim = given_._replace(
        source=given_.source._replace(id=source),
        user_data=None if kept is None else UserData(*kept),
    )
    each = record("a")._replace(metadata=claim, updated_by=by)
    written = encode_record(each)
    assert decode_record(each.bucket, written) == each
    assert json.dumps(json.loads(written), sort_keys=True, ensure_ascii=False) == written.decode()


def test_fields_are_sorted() -> None:
    full = replace(lease(), creates=(route("a"),))
    for value in (encode_record(FULL), encode_lease(full), encode_part((route("a"),), ())):
        assert json.dumps(json.loads(value), sort_keys=True, ensure_ascii=False) == value.decode()


def test_a_part_comes_back() -> None:
    value = encode_part((route("a"), route("b")), (route("c"),))
    assert decode_part(PartKey(LEASE_1, 0), value) == ((route("a"), route("b")), (route("c"),))
    assert decode_part(PartKey(LEASE_1, 0), b"{}") == Undecodable(
        "schema: is missing: every field must be there"
    )


def edited(text: str, **changes: Any) -> bytes:
    body = json.loads(text) | changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "schema: 2 is not read by this version, which knows 1"),
        ({"uuid": "x"}, "uuid: 'x' is no UUID"),
        ({"uuid": ...}, "uuid: is missing: every field must be there"),
        ({"lease": "x"}, "lease: 'x' is no UUID"),
        ({"lease": ""}, "lease: LEASE_CREATING does not go with lease ''"),
        ({"status": "ACTIVE"}, f"lease: ACTIVE does not go with lease '{LEASE_1}'"),
        ({"status": "GONE"}, "status: 'GONE' is none of ACTIVE, LEASE_CREATING, LEASE_DESTROYING"),
        ({"bucket": ["ROUTES", "b"]}, 'bucket: ROUTES "b" lies at the key of ROUTES "äcme"'),
        ({"bucket": ["INVITES", "b"]}, "bucket: 'INVITES' is not known to this version"),
        ({"bucket": ["ROUTES"]}, "bucket: is no pair of a bucket and a value"),
        ({"bucket": [1, "b"]}, "bucket: 1 is not known to this version"),
        ({"subject": {"type": "CAT", "id": 1}}, "subject.type: 'CAT' is not known to this version"),
        ({"subject": {"type": "USER", "id": 1, "x": 1}}, "subject.x: is no field that the schema knows"),
        ({"source": {"type": "UNSPECIFIED", "id": "zz"}}, "source.id: is not hexadecimal"),
        ({"user_data": {"type_url": "", "value": "*"}}, "user_data.value: is not base64"),
        ({"created_at": "today"}, "created_at: is no time such as 2026-03-01T12:00:00.000000Z"),
        ({"colour": "red"}, "colour: is no field that the schema knows"),
    ],
)
def test_a_bad_record_is_refused_with_its_field(changes: dict[str, Any], reason: str) -> None:
    assert decode_record(route("äcme"), edited(WRITTEN, **changes)) == Undecodable(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phase": "HALF"}, "phase: 'HALF' is none of PREPARING, OPEN, COMMITTING, ROLLING_BACK"),
        ({"creates": [["ROUTES"]]}, "creates[0]: is no pair of a bucket and a value"),
        (
            {"uuid": LEASE_1.replace("1", "2")},
            f"uuid: lease {LEASE_1.replace('1', '2')} lies at the key of {LEASE_1}",
        ),
        ({"x": 1}, "x: is no field that the schema knows"),
    ],
)
def test_a_bad_lease_is_refused_with_its_field(changes: dict[str, Any], reason: str) -> None:
    value = edited(encode_lease(lease()).decode(), **changes)
    assert decode_lease(LeaseKey(LEASE_1), value) == Undecodable(reason)


def test_what_is_no_json_is_refused() -> None:
    assert isinstance(decode_record(route("a"), b"\xff"), Undecodable)
    assert isinstance(decode_lease(LeaseKey(LEASE_1), b"[]"), Undecodable)


def test_times_keep_their_microseconds() -> None:
    moment = NOON.replace(microsecond=123456)
    found = decode_lease(LeaseKey(LEASE_1), encode_lease(lease(created_at=moment)))
    assert isinstance(found, Lease)
    assert found.created_at == moment
