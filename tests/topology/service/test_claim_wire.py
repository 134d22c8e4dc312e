"""Claims on GitLab's wire, both ways."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from pb.gitlab.cells.topology_service import classify_service_pb2
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2
from tests.topology.claims.samples import LEASE_1, NOON, lease, metadata, record, route
from topology.claims.model import Bucket, BucketType, Spelling, Status, UserData
from topology.service.claim_wire import (
    bucket_of_claim,
    claim_of_bucket,
    classified_claims,
    lease_message,
    metadata_message,
    metadata_of,
    moment_of,
    named,
    record_message,
    timestamp,
    uuid_of,
)
from topology.service.failure import Failure

Claim = claim_pb2.Claim
WireBucket = messages_pb2.Bucket


def refusal(work: object, *arguments: object) -> str:
    with pytest.raises(Failure) as caught:
        work(*arguments)  # type: ignore[operator]
    assert caught.value.code.name == "INVALID_ARGUMENT"
    return caught.value.message


@pytest.mark.parametrize("kind", list(BucketType))
def test_every_claim_is_the_bucket_of_its_number(kind: BucketType) -> None:
    field = Claim.DESCRIPTOR.fields_by_number[kind.value]
    value = "7" if field.cpp_type == field.CPPTYPE_INT64 else "seven"
    bucket = Bucket(kind, value)
    claim = claim_of_bucket(bucket)
    assert claim.WhichOneof("claim") == field.name
    assert bucket_of_claim(claim, "claim") == bucket


def test_an_unknown_claim_is_refused_and_not_skipped() -> None:
    unknown = Claim.FromString(b"\x9a\x01\x01x")  # field 19
    assert refusal(bucket_of_claim, unknown, "claims[2]") == (
        "claims[2]: holds field 19, which this version does not know"
    )
    assert refusal(bucket_of_claim, Claim(), "claim") == "claim: is empty"


def test_a_claim_is_named_by_bucket_by_claim_or_by_both() -> None:
    bucket, claim = WireBucket(type=WireBucket.ROUTES, value="a"), Claim(route="a")
    assert named(bucket, None, "r") == (route("a"), Spelling.BUCKET)
    assert named(None, claim, "r") == (route("a"), Spelling.CLAIM)
    assert named(bucket, claim, "r") == (route("a"), Spelling.BOTH)
    assert refusal(named, None, None, "r") == "r: names neither a bucket nor a claim"
    assert refusal(named, bucket, Claim(route="b"), "r") == (
        'r: the bucket names ROUTES "a", and the claim ROUTES "b": name one thing'
    )
    odd = WireBucket(type=14, value="a")  # type: ignore[arg-type]
    assert refusal(named, odd, None, "r") == "r.bucket.type: 14 is no bucket that this version knows"
    assert refusal(named, WireBucket(value="a"), None, "r").startswith("r.bucket.type: 0 is no bucket")


@pytest.mark.parametrize("spelling", list(Spelling))
def test_metadata_goes_out_as_it_came_in(spelling: Spelling) -> None:
    given = metadata("7", kind=BucketType.USER_IDS)._replace(
        spelling=spelling, user_data=UserData("t/x", b"\x00")
    )
    message = metadata_message(given)
    assert message.HasField("bucket") == (spelling is not Spelling.CLAIM)
    assert message.HasField("claim") == (spelling is not Spelling.BUCKET)
    assert metadata_of(messages_pb2.Metadata.FromString(message.SerializeToString()), "m") == given


def test_metadata_without_user_data_has_none() -> None:
    assert not metadata_message(metadata("a")).HasField("user_data")
    assert metadata_of(metadata_message(metadata("a")), "m") == metadata("a")


def test_unknown_subjects_and_sources_are_refused() -> None:
    message = metadata_message(metadata("a"))
    message.subject.type = 99  # type: ignore[assignment]
    assert refusal(metadata_of, message, "m") == "m.subject.type: 99 is not known to this version"
    message = metadata_message(metadata("a"))
    message.source.type = 99  # type: ignore[assignment]
    assert refusal(metadata_of, message, "m") == "m.source.type: 99 is not known to this version"


def test_a_record_and_a_lease_are_spelled_whole() -> None:
    found = record_message(record("a", 2, Status.LEASE_DESTROYING, LEASE_1))
    assert (found.uuid.value, found.cell_id, found.lease_uuid.value) == (
        "00000000-0000-4000-9000-00000000000a",
        2,
        LEASE_1,
    )
    assert found.status == messages_pb2.Record.LEASE_DESTROYING
    assert found.created_at.ToDatetime(UTC) == found.updated_at.ToDatetime(UTC) == NOON
    active = record_message(record("a"))
    assert active.status == messages_pb2.Record.ACTIVE
    assert not active.HasField("lease_uuid")
    held = lease_message(lease())
    assert (held.uuid.value, held.created_at.ToDatetime(UTC)) == (LEASE_1, NOON)


def test_uuids_are_read_in_any_case() -> None:
    assert uuid_of(uuid_pb2.UUID(value=LEASE_1.upper()), "lease_uuid") == LEASE_1
    assert refusal(uuid_of, uuid_pb2.UUID(value="x"), "lease_uuid") == "lease_uuid: 'x' is no UUID"


def test_moments() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert moment_of(timestamp(moment), "at") == moment
    assert refusal(moment_of, Timestamp(seconds=10**15), "created_after").startswith("created_after: is no")


def test_claims_to_classify_by_come_in_order() -> None:
    request = classify_service_pb2.ClassifyRequest(claims=[Claim(route="a"), Claim(user_id=7)])
    assert classified_claims(request) == (route("a"), Bucket(BucketType.USER_IDS, "7"))
    assert classified_claims(classify_service_pb2.ClassifyRequest(value="x")) == ()
    too_long = classify_service_pb2.ClassifyRequest(claims=[Claim(route="a" * 1025)])
    assert refusal(classified_claims, too_long).startswith("claims[0]: of ROUTES is 1025 characters long")
    many = classify_service_pb2.ClassifyRequest(claims=[Claim(route="a")] * 1001)
    assert refusal(classified_claims, many) == "claims: 1001 are there: send 1000 at most"


def test_the_claim_of_old_clients_is_still_read() -> None:
    """Field 4, as gitlab-shell sends it: `type` unspecified, one claim."""
    old = classify_service_pb2.ClassifyRequest.FromString(b"\x22\x06\x0a\x04acme")
    assert classified_claims(old) == (route("acme"),)
    both = classify_service_pb2.ClassifyRequest.FromString(b"\x22\x06\x0a\x04acme\x2a\x05\x0a\x03new")
    assert classified_claims(both) == (route("new"),)


@pytest.mark.parametrize("data", [b"\x22\x02\x0a\x7f", b"\x20\x07"], ids=["torn", "a number"])
def test_a_field_4_that_is_no_claim_is_refused(data: bytes) -> None:
    request = classify_service_pb2.ClassifyRequest.FromString(data)
    assert refusal(classified_claims, request) == "claim: field 4 holds no claim"
