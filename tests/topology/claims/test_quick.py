"""What is read quickly is what the codec reads; everything else is left to it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.claims.samples import LEASE_1, NOON, record
from topology.claims import codec
from topology.claims.codec import decode_record, encode_record
from topology.claims.model import (
    Bucket,
    BucketType,
    Metadata,
    Record,
    Source,
    SourceType,
    Spelling,
    Status,
    Subject,
    SubjectType,
    UserData,
)
from topology.claims.quick import quickly

NUMBERS = st.integers(0, 10**18 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
UUIDS = st.uuids().map(str)


@st.composite
def records(draw: st.DrawFn) -> Record:
    status = draw(st.sampled_from(Status))
    return Record(
        uuid=draw(UUIDS),
        metadata=Metadata(
            bucket=Bucket(draw(st.sampled_from(BucketType)), draw(TEXTS)),
            subject=Subject(draw(st.sampled_from(SubjectType)), draw(NUMBERS)),
            source=Source(draw(st.sampled_from(SourceType)), draw(st.binary(max_size=12))),
            user_data=draw(st.none() | st.just(UserData("t", b"x"))),
            spelling=draw(st.sampled_from(Spelling)),
        ),
        cell_id=draw(NUMBERS),
        status=status,
        lease="" if status is Status.ACTIVE else draw(UUIDS),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
        updated_by=draw(TEXTS),
    )


def slowly(bucket: Bucket, value: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "quickly", lambda *_: None)
        return decode_record(bucket, value)


@given(records())
def test_what_comes_back_is_what_was_written(written: Record) -> None:
    value = encode_record(written)
    assert decode_record(written.bucket, value) == slowly(written.bucket, value) == written


@given(records(), st.integers(0, 500), st.binary(max_size=3), st.integers(0, 3))
def test_of_damaged_bytes_it_says_what_the_codec_says(written: Record, at: int, new: bytes, cut: int) -> None:
    value = encode_record(written)
    damaged = value[:at] + new + value[at + cut :]
    assert decode_record(written.bucket, damaged) == slowly(written.bucket, damaged)


@pytest.mark.parametrize(
    "each", [record("a"), record("group/project"), record("äcme", 2, Status.LEASE_CREATING, LEASE_1)]
)
def test_the_usual_is_read_quickly_and_shares_what_it_can(each: Record) -> None:
    found = quickly(each.bucket, encode_record(each))
    assert found == each
    again = quickly(each.bucket, encode_record(each._replace(cell_id=3)))
    assert again is not None
    assert again.bucket is each.bucket
    assert again.metadata.subject is found.metadata.subject
    assert again.created_at is found.created_at


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"cell_id": 1', '"cell_id": 01'),
        ('"cell_id": 1', '"cell_id": 1.0'),
        ('"schema": 1', '"schema": 2'),
        ('"ACTIVE"', '"LEASE_CREATING"'),
        ('"ACTIVE"', '"GONE"'),
        ('"ROUTES", "a"', '"ROUTES", "b"'),
        ('"ROUTES", "a"', '"USERNAMES", "a"'),
        (NOON.strftime("%Y-%m-%d"), "2026-02-30"),
        ('"lease": ""', '"lease": "-"'),
        ('"RAILS_TABLE_ROUTES"', '"RAILS_TABLE_NONE"'),
        ('"spelling": "BUCKET"', '"spelling": "ODD"'),
        ('{"bucket"', '{ "bucket"'),
    ],
)
def test_the_unusual_is_left_to_the_codec(before: str, after: str) -> None:
    text = encode_record(record("a")).decode()
    assert before in text
    assert quickly(record("a").bucket, text.replace(before, after).encode()) is None
    assert quickly(record("a").bucket, b"\xff") is None
