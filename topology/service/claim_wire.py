"""Claims on GitLab's wire: messages to values and back, with both ways to name a claim.

The claim and classify services translate with it. What it does not know it refuses with the field's name,
never skips. Stands at both ends of `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from google.protobuf import timestamp_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from pb.gitlab.cells.topology_service import classify_service_pb2
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2
from topology.claims.keys import is_uuid
from topology.claims.model import (
    MAX_BATCH,
    NUMBERS,
    Bucket,
    BucketType,
    Lease,
    Metadata,
    Record,
    Source,
    SourceType,
    Spelling,
    Subject,
    SubjectType,
    UserData,
)
from topology.claims.rules import number_of, value_problem
from topology.service.failure import invalid
from topology.service.unknown_fields import unknown_numbers

_FIELDS: Final = {field.number: field.name for field in claim_pb2.Claim.DESCRIPTOR.fields}
_NUMBERS: Final = {field.name: field.number for field in claim_pb2.Claim.DESCRIPTOR.fields}
_OLD_CLAIM: Final = 4  # of ClassifyRequest
# By number: what is not there is not known to this version.
_BUCKETS: Final[Mapping[int, BucketType]] = {int(each): each for each in BucketType}
_CLAIMED: Final = {name: BucketType(number) for name, number in _NUMBERS.items()}
_SUBJECTS: Final[Mapping[int, SubjectType]] = {int(each): each for each in SubjectType}
_SOURCES: Final[Mapping[int, SourceType]] = {int(each): each for each in SourceType}


def bucket_of_claim(claim: claim_pb2.Claim, path: str) -> Bucket:
    """Read a claim as the bucket of the same number."""
    name = claim.WhichOneof("claim")
    if unknown := unknown_numbers(claim):
        words = f"holds field {unknown[0]}, which this version does not know"
        raise invalid(f"{path}: {words}", "CLAIM_UNKNOWN")
    if name is None:
        raise invalid(f"{path}: is empty", "CLAIM_UNKNOWN")
    return Bucket(_CLAIMED[name], str(getattr(claim, name)))


def claim_of_bucket(bucket: Bucket) -> claim_pb2.Claim:
    """Spell a bucket as the claim of the same number."""
    value: str | int = bucket.value
    if bucket.type in NUMBERS:
        number = number_of(bucket)
        if number is None:
            raise AssertionError(f"{bucket} was named by a claim, which is a number")
        value = number
    claim = claim_pb2.Claim()
    setattr(claim, _FIELDS[bucket.type], value)
    return claim


def bucket_of(message: messages_pb2.Bucket, path: str) -> Bucket:
    """Read a bucket."""
    kind = _BUCKETS.get(message.type)
    if kind is None:
        raise invalid(f"{path}.type: {message.type} is no bucket that this version knows", "CLAIM_UNKNOWN")
    return Bucket(kind, message.value)


def named(
    bucket: messages_pb2.Bucket | None, claim: claim_pb2.Claim | None, path: str
) -> tuple[Bucket, Spelling]:
    """Read what is named by a bucket, a claim, or both, which must then agree."""
    if bucket is None and claim is None:
        raise invalid(f"{path}: names neither a bucket nor a claim")
    by_claim = None if claim is None else bucket_of_claim(claim, f"{path}.claim")
    if bucket is None:
        if by_claim is None:
            raise AssertionError("one of both is there")
        return by_claim, Spelling.CLAIM
    by_bucket = bucket_of(bucket, f"{path}.bucket")
    if by_claim is None:
        return by_bucket, Spelling.BUCKET
    if by_bucket != by_claim:
        raise invalid(f"{path}: the bucket names {by_bucket}, and the claim {by_claim}: name one thing")
    return by_bucket, Spelling.BOTH


def metadata_of(message: messages_pb2.Metadata, path: str) -> Metadata:
    """Read a claim as a client states it."""
    stated, subject, source = message.bucket, message.subject, message.source
    kind = _BUCKETS.get(stated.type)
    if kind is not None and not message.HasField("claim"):  # as most clients name it
        bucket, spelling = Bucket(kind, stated.value), Spelling.BUCKET
    else:
        bucket, spelling = named(
            stated if message.HasField("bucket") else None,
            message.claim if message.HasField("claim") else None,
            path,
        )
    subject_type, source_type = _SUBJECTS.get(subject.type), _SOURCES.get(source.type)
    if subject_type is None:
        raise invalid(f"{path}.subject.type: {subject.type} is not known to this version")
    if source_type is None:
        raise invalid(f"{path}.source.type: {source.type} is not known to this version")
    data = message.user_data if message.HasField("user_data") else None
    return Metadata(
        bucket,
        Subject(subject_type, subject.id),
        Source(source_type, source.rails_primary_key_id),
        None if data is None else UserData(data.type_url, data.value),
        spelling,
    )


def metadata_message(metadata: Metadata) -> messages_pb2.Metadata:
    """Spell a claim the way its client named it: clients compare what they get with what they sent."""
    subject, source, data = metadata.subject, metadata.source, metadata.user_data
    message = messages_pb2.Metadata(
        subject=messages_pb2.Subject(type=messages_pb2.Subject.Type.ValueType(subject.type), id=subject.id),
        source=messages_pb2.Source(
            type=messages_pb2.Source.Type.ValueType(source.type), rails_primary_key_id=source.id
        ),
        user_data=None if data is None else AnyMessage(type_url=data.type_url, value=data.value),
    )
    if metadata.spelling is not Spelling.CLAIM:
        message.bucket.type = messages_pb2.Bucket.Type.ValueType(metadata.bucket.type)
        message.bucket.value = metadata.bucket.value
    if metadata.spelling is not Spelling.BUCKET:
        message.claim.CopyFrom(claim_of_bucket(metadata.bucket))
    return message


def record_message(record: Record) -> messages_pb2.Record:
    """Spell a record."""
    return messages_pb2.Record(
        uuid=uuid_pb2.UUID(value=record.uuid),
        metadata=metadata_message(record.metadata),
        cell_id=record.cell_id,
        status=messages_pb2.Record.Status.Value(record.status.value),
        lease_uuid=uuid_pb2.UUID(value=record.lease) if record.lease else None,
        created_at=timestamp(record.created_at),
        updated_at=timestamp(record.updated_at),
    )


def lease_message(lease: Lease) -> messages_pb2.LeaseRecord:
    """Spell a lease."""
    return messages_pb2.LeaseRecord(
        uuid=uuid_pb2.UUID(value=lease.uuid),
        created_at=timestamp(lease.created_at),
        updated_at=timestamp(lease.updated_at),
    )


def uuid_of(message: uuid_pb2.UUID, path: str) -> str:
    """Read a UUID."""
    text = message.value.lower()
    if not is_uuid(text):
        raise invalid(f"{path}: {message.value[:64]!r} is no UUID")
    return text


def timestamp(moment: datetime) -> timestamp_pb2.Timestamp:
    """Spell a moment."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(moment)
    return message


def moment_of(message: timestamp_pb2.Timestamp, path: str) -> datetime:
    """Read a moment."""
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise invalid(f"{path}: is no moment between the years 1 and 9999") from None


def classified_claims(request: classify_service_pb2.ClassifyRequest) -> tuple[Bucket, ...]:
    """Read the claims to classify by, in order.

    A client from before `claims` sends one `claim` as field 4, which the message does not know any more; to
    overlook it would send that client to the default, without a word.
    """
    if len(request.claims) > MAX_BATCH:
        raise invalid(f"claims: {len(request.claims)} are there: send {MAX_BATCH} at most", "BATCH_INVALID")
    buckets = tuple(bucket_of_claim(claim, f"claims[{at}]") for at, claim in enumerate(request.claims))
    unknown = UnknownFieldSet(request)
    for at in range(len(unknown)):
        if unknown[at].field_number != _OLD_CLAIM:
            words = f"holds field {unknown[at].field_number}, which this version does not know"
            raise invalid(f"request: {words}", "FIELD_UNKNOWN")
    if not buckets and len(unknown):
        buckets = (_old_claim(unknown[len(unknown) - 1].data),)
    for at, bucket in enumerate(buckets):
        if problem := value_problem(bucket):
            raise invalid(f"claims[{at}]: {problem}")
    return buckets


def _old_claim(data: object) -> Bucket:
    try:
        claim = claim_pb2.Claim.FromString(data if isinstance(data, bytes) else b"\xff")
    except DecodeError:
        raise invalid("claim: field 4 holds no claim", "CLAIM_UNKNOWN") from None
    return bucket_of_claim(claim, "claim")
