"""Claims and leases as bytes: JSON that a person can read in `etcdctl get`, with a schema number.

Planning encodes, the adapter decodes. A value that is no good record comes back as `Undecodable` with the
field; nothing is guessed. One line a record, for there may be millions, written by a template: eight times
as fast as by the library, which is what a batch is made to wait for. Third road: what a `Txn` writes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from topology import forms
from topology.claims.keys import LeaseKey, PartKey, is_uuid
from topology.claims.model import (
    Bucket,
    BucketType,
    Lease,
    Metadata,
    Phase,
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
from topology.codec import Undecodable
from topology.fields import Fields, MalformedError, parse

SCHEMA: Final = 1
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False).encode
_quoted: Final[Callable[[str], str]] = json.encoder.encode_basestring
Number = TypeVar("Number", bound=IntEnum)
Word = TypeVar("Word", bound=StrEnum)


def encode_record(record: Record) -> bytes:
    """Write a claim: keys sorted, the same bytes for the same record."""
    metadata = record.metadata  # `_name_` is what `name` is on an enum, in a tenth of the time
    bucket, source, subject, data = metadata.bucket, metadata.source, metadata.subject, metadata.user_data
    kept = "null" if data is None else _ENCODE(_user_data_body(data))
    return (
        f'{{"bucket": ["{bucket.type._name_}", {_quoted(bucket.value)}], '
        f'"cell_id": {record.cell_id}, "created_at": "{_written(record.created_at)}", '
        f'"lease": "{record.lease}", "schema": {SCHEMA}, '
        f'"source": {{"id": "{source.id.hex()}", "type": "{source.type._name_}"}}, '
        f'"spelling": "{metadata.spelling}", "status": "{record.status}", '
        f'"subject": {{"id": {subject.id}, "type": "{subject.type._name_}"}}, '
        f'"updated_at": "{_written(record.updated_at)}", "updated_by": {_quoted(record.updated_by)}, '
        f'"user_data": {kept}, "uuid": "{record.uuid}"}}'
    ).encode()


def encode_lease(lease: Lease) -> bytes:
    """Write a lease."""
    return (
        f'{{"cell_id": {lease.cell_id}, "created_at": "{_written(lease.created_at)}", '
        f'"creates": {_pairs(lease.creates)}, "destroys": {_pairs(lease.destroys)}, '
        f'"parts": {lease.parts}, "phase": "{lease.phase}", "schema": {SCHEMA}, '
        f'"updated_at": "{_written(lease.updated_at)}", "updated_by": {_quoted(lease.updated_by)}, '
        f'"uuid": "{lease.uuid}"}}'
    ).encode()


def encode_part(creates: tuple[Bucket, ...], destroys: tuple[Bucket, ...]) -> bytes:
    """Write which records a part of a lease holds."""
    return f'{{"creates": {_pairs(creates)}, "destroys": {_pairs(destroys)}, "schema": {SCHEMA}}}'.encode()


def decode_record(bucket: Bucket, value: bytes) -> Record | Undecodable:
    """Read the claim of a key."""
    if (found := quickly(bucket, value)) is not None:
        return found
    try:
        fields = read_claim_fields(value)
        record = Record(
            uuid=read_uuid(fields, "uuid"),
            metadata=Metadata(
                bucket=_bucket(fields.take("bucket", list, "list"), "bucket"),
                subject=read_subject(Fields(fields.mapping("subject"), "subject")),
                source=_source(Fields(fields.mapping("source"), "source")),
                user_data=fields.optional("user_data", _user_data),
                spelling=read_word(fields, "spelling", Spelling),
            ),
            cell_id=fields.integer("cell_id"),
            status=read_word(fields, "status", Status),
            lease="" if fields.text("lease") == "" else read_uuid(fields, "lease"),
            created_at=read_moment(fields, "created_at"),
            updated_at=read_moment(fields, "updated_at"),
            updated_by=fields.text("updated_by"),
        )
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    if record.bucket != bucket:
        return Undecodable(f"bucket: {record.bucket} lies at the key of {bucket}")
    if (record.status is Status.ACTIVE) == bool(record.lease):
        return Undecodable(f"lease: {record.status} does not go with lease {record.lease!r}")
    return record


def decode_lease(key: LeaseKey, value: bytes) -> Lease | Undecodable:
    """Read the lease of a key."""
    try:
        fields = read_claim_fields(value)
        lease = Lease(
            uuid=read_uuid(fields, "uuid"),
            cell_id=fields.integer("cell_id"),
            phase=read_word(fields, "phase", Phase),
            creates=_buckets(fields, "creates"),
            destroys=_buckets(fields, "destroys"),
            parts=fields.integer("parts"),
            created_at=read_moment(fields, "created_at"),
            updated_at=read_moment(fields, "updated_at"),
            updated_by=fields.text("updated_by"),
        )
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    if lease.uuid != key.uuid:
        return Undecodable(f"uuid: lease {lease.uuid} lies at the key of {key.uuid}")
    return lease


def decode_part(_: PartKey, value: bytes) -> tuple[tuple[Bucket, ...], tuple[Bucket, ...]] | Undecodable:
    """Read which records a part creates, and which it destroys."""
    try:
        fields = read_claim_fields(value)
        creates, destroys = _buckets(fields, "creates"), _buckets(fields, "destroys")
        fields.end()
    except MalformedError as error:
        return Undecodable(str(error))
    return creates, destroys


def _user_data_body(data: UserData) -> dict[str, str]:
    return {"type_url": data.type_url, "value": base64.b64encode(data.value).decode()}


@lru_cache(maxsize=256)
def _written(moment: datetime) -> str:
    """Write a moment; those of a batch are one."""
    return forms.format_utc(moment)


def _pairs(buckets: tuple[Bucket, ...]) -> str:
    pairs = (f'["{each.type._name_}", {_quoted(each.value)}]' for each in buckets)
    return f"[{', '.join(pairs)}]"


def read_claim_fields(value: bytes) -> Fields:
    """Begin to read a record of the schema that this version knows. Raises MalformedError, as those below."""
    fields = Fields(parse(value))
    if (schema := fields.integer("schema")) != SCHEMA:
        raise MalformedError(f"schema: {schema} is not read by this version, which knows {SCHEMA}")
    return fields


def read_moment(fields: Fields, name: str) -> datetime:
    """Take a moment."""
    moment = forms.parse_utc(fields.text(name))
    if moment is None:
        raise MalformedError(f"{name}: is no time such as 2026-03-01T12:00:00.000000Z")
    return moment


def read_uuid(fields: Fields, name: str) -> str:
    """Take a UUID."""
    text = fields.text(name)
    if not is_uuid(text):
        raise MalformedError(f"{name}: {text!r} is no UUID")
    return text


def read_word(fields: Fields, name: str, words: type[Word]) -> Word:
    """Take one of a closed set of words."""
    text = fields.text(name)
    if text not in words.__members__:
        raise MalformedError(f"{name}: {text!r} is none of {', '.join(words)}")
    return words(text)


def _number(name: str, text: Any, numbers: type[Number]) -> Number:
    if not isinstance(text, str) or text not in numbers.__members__:
        raise MalformedError(f"{name}: {text!r} is not known to this version")
    return numbers[text]


def _bucket(pair: Any, path: str) -> Bucket:
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str)):
        raise MalformedError(f"{path}: is no pair of a bucket and a value")
    return Bucket(_number(path, pair[0], BucketType), pair[1])


def _buckets(fields: Fields, name: str) -> tuple[Bucket, ...]:
    pairs = fields.take(name, list, "list")
    return tuple(_bucket(pair, f"{name}[{at}]") for at, pair in enumerate(pairs))


def read_subject(fields: Fields) -> Subject:
    """Take a subject."""
    subject = Subject(type=_number("subject.type", fields.text("type"), SubjectType), id=fields.integer("id"))
    fields.end()
    return subject


def _source(fields: Fields) -> Source:
    kind = _number("source.type", fields.text("type"), SourceType)
    try:
        identity = bytes.fromhex(fields.text("id"))
    except ValueError:
        raise MalformedError("source.id: is not hexadecimal") from None
    fields.end()
    return Source(kind, identity)


def _user_data(fields: Fields) -> UserData:
    try:
        value = base64.b64decode(fields.text("value"), validate=True)
    except binascii.Error:
        raise MalformedError("user_data.value: is not base64") from None
    data = UserData(fields.text("type_url"), value)
    fields.end()
    return data
