"""The wire of GitLab's Topology Service: every message as bytes, written by hand from the field numbers.

A tag is `number << 3 | kind` in hexadecimal: kind 0 is a varint, 2 has a length before it.
"""

from __future__ import annotations

from typing import Final

import pytest
from google.protobuf import any_pb2, timestamp_pb2
from google.protobuf.message import Message

from pb.gitlab.cells.topology_service import (
    autz_pb2,
    cell_info_pb2,
    cell_service_pb2,
    classify_service_pb2,
    health_service_pb2,
)
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2
from tests.topology.service.test_descriptors import MESSAGES

_UUID: Final = uuid_pb2.UUID(value="u")
_CLAIM: Final = claim_pb2.Claim(route="acme")
_BUCKET: Final = messages_pb2.Bucket(type=messages_pb2.Bucket.ROUTES, value="acme")
_ANY: Final = any_pb2.Any(type_url="t", value=b"v")
_TIME: Final = timestamp_pb2.Timestamp(seconds=1, nanos=2)
_RANGE: Final = cell_info_pb2.SequenceRange(minval=1, maxval=300)
_CELL: Final = cell_info_pb2.CellInfo(
    id=2, address="a", session_prefix="p", sequence_range=_RANGE, sequence_ranges=[_RANGE]
)
_METADATA: Final = messages_pb2.Metadata(
    bucket=_BUCKET,
    subject=messages_pb2.Subject(type=messages_pb2.Subject.NAMESPACE, id=300),
    source=messages_pb2.Source(type=messages_pb2.Source.RAILS_TABLE_ROUTES, rails_primary_key_id=b"\0\7"),
    user_data=_ANY,
    claim=_CLAIM,
)
_RECORD: Final = messages_pb2.Record(
    uuid=_UUID,
    cell_id=2,
    status=messages_pb2.Record.LEASE_CREATING,
    lease_uuid=_UUID,
    created_at=_TIME,
    updated_at=_TIME,
)
_LEASE: Final = messages_pb2.LeaseRecord(uuid=_UUID, created_at=_TIME, updated_at=_TIME)

_U: Final = "0a01 75"  # UUID: 1 value
_C: Final = "0a04 61636d65"  # Claim: 1 route
_B: Final = "0801 1204 61636d65"  # Bucket: 1 type, 2 value
_A: Final = "0a01 74 1201 76"  # google.protobuf.Any: 1 type_url, 2 value
_T: Final = "0801 1002"  # google.protobuf.Timestamp: 1 seconds, 2 nanos
_S: Final = "0801 10ac02"  # SequenceRange: 1 minval, 2 maxval
_I: Final = f"0802 1a01 61 2201 70 2a05 {_S} 3205 {_S}"  # CellInfo: 1 id, 3, 4, 5, 6
# Metadata: 1 bucket, 2 subject (1 type, 2 id), 3 source (1 type, 2 id), 4 user_data, 5 claim
_M: Final = f"0a08 {_B} 1205 0802 10ac02 1a06 0803 1202 0007 2206 {_A} 2a06 {_C}"
_R: Final = f"0a03 {_U} 1802 2002 2a03 {_U} 3204 {_T} 3a04 {_T}"  # Record: 1, 3, 4, 5, 6, 7
_L: Final = f"0a03 {_U} 1204 {_T} 1a04 {_T}"  # LeaseRecord: 1, 2, 3

GOLDEN: Final[tuple[tuple[Message, str], ...]] = (
    (
        autz_pb2.AccessControl(
            authorization_rules=[
                autz_pb2.RULE_ALLOW_MATCHING_CELL_ONLY,
                autz_pb2.RULE_ALLOW_ANY_ADMIN,
            ]
        ),
        "0a02 0305",
    ),
    (_RANGE, _S),
    (_CELL, _I),
    (cell_info_pb2.GetCellsRequest(), ""),
    (cell_info_pb2.GetCellsResponse(cells=[_CELL]), f"0a16 {_I}"),
    (cell_service_pb2.GetCellRequest(cell_id=2), "1002"),
    (cell_service_pb2.GetCellResponse(cell_info=_CELL), f"0a16 {_I}"),
    (
        classify_service_pb2.ClassifyRequest(
            type=classify_service_pb2.SESSION_PREFIX, value="cell-2", claims=[_CLAIM]
        ),
        f"1002 1a06 63656c6c2d32 2a06 {_C}",
    ),
    (classify_service_pb2.ProxyInfo(address="a"), "0a01 61"),
    (
        classify_service_pb2.ClassifyResponse(
            action=classify_service_pb2.PROXY, proxy=classify_service_pb2.ProxyInfo(address="a")
        ),
        "0801 1203 0a01 61",
    ),
    (health_service_pb2.ReadinessProbeRequest(), ""),
    (health_service_pb2.ReadinessProbeResponse(), ""),
    (health_service_pb2.LivenessProbeRequest(), ""),
    (health_service_pb2.LivenessProbeResponse(), ""),
    (_BUCKET, _B),
    (messages_pb2.Subject(type=messages_pb2.Subject.USER, id=-1), "0804 10ffffffffffffffffff01"),
    (
        messages_pb2.Source(
            type=messages_pb2.Source.RAILS_TABLE_PROJECT_SETTINGS, rails_primary_key_id=b"\xff"
        ),
        "080e 1201 ff",
    ),
    (_METADATA, _M),
    (_RECORD, _R),
    (_LEASE, _L),
    (service_pb2.GetRecordRequest(bucket=_BUCKET, claim=_CLAIM), f"0a08 {_B} 1206 {_C}"),
    (service_pb2.GetRecordResponse(record=_RECORD, cell_info=_CELL), f"0a1a {_R} 1216 {_I}"),
    (
        service_pb2.BeginUpdateRequest(create_records=[_METADATA], destroy_records=[_METADATA], cell_id=2),
        f"0a29 {_M} 1229 {_M} 1802",
    ),
    (service_pb2.BeginUpdateResponse(cell_id=2, lease_uuid=_UUID), f"0802 1203 {_U}"),
    (service_pb2.CommitUpdateRequest(cell_id=2, lease_uuid=_UUID), f"0802 1203 {_U}"),
    (service_pb2.CommitUpdateResponse(), ""),
    (service_pb2.RollbackUpdateRequest(cell_id=2, lease_uuid=_UUID), f"0802 1203 {_U}"),
    (service_pb2.RollbackUpdateResponse(), ""),
    (
        service_pb2.ListLeasesRequest(cell_id=2, next=_ANY, limit=300, created_after=_TIME),
        f"0802 1206 {_A} 18ac02 2204 {_T}",
    ),
    (service_pb2.ListLeasesResponse(leases=[_LEASE], next=_ANY), f"0a11 {_L} 1206 {_A}"),
    (
        service_pb2.ListRecordsRequest(
            cell_id=2,
            source_type=messages_pb2.Source.RAILS_TABLE_USERS,
            bucket_types=[messages_pb2.Bucket.ROUTES, messages_pb2.Bucket.PAGES_UNIQUE_DOMAINS],
            source_id_gt=b"a",
            source_id_lte=b"b",
            claim_types=[claim_pb2.CLAIM_TYPE_USERNAME],
        ),
        "0802 1001 1a02 0112 2201 61 2a01 62 3201 04",
    ),
    (service_pb2.ListRecordsResponse(records=[_RECORD], truncated=True), f"0a1a {_R} 1001"),
    (_UUID, _U),
    (_CLAIM, _C),
)

# Every field of the oneof.
CLAIMS: Final = (
    (claim_pb2.Claim(route="x"), "0a01 78"),
    (claim_pb2.Claim(organization_path="x"), "1201 78"),
    (claim_pb2.Claim(redirect_route="x"), "1a01 78"),
    (claim_pb2.Claim(username="x"), "2201 78"),
    (claim_pb2.Claim(email="x"), "2a01 78"),
    (claim_pb2.Claim(project_id=300), "30ac02"),
    (claim_pb2.Claim(namespace_id=300), "38ac02"),
    (claim_pb2.Claim(gpg_key="x"), "4201 78"),
    (claim_pb2.Claim(ssh_key="x"), "4a01 78"),
    (claim_pb2.Claim(user_id=300), "50ac02"),
    (claim_pb2.Claim(organization_id=300), "58ac02"),
    (claim_pb2.Claim(service_desk_custom_email="x"), "6201 78"),
    (claim_pb2.Claim(gpg_key_fingerprint="x"), "6a01 78"),
    (claim_pb2.Claim(ssh_key_fingerprint="x"), "7a01 78"),
    (claim_pb2.Claim(snippet_id=300), "8001ac02"),
    (claim_pb2.Claim(pages_domain="x"), "8a0101 78"),
    (claim_pb2.Claim(pages_unique_domain="x"), "920101 78"),
)


@pytest.mark.parametrize(("message", "by_hand"), [*GOLDEN, *CLAIMS], ids=str)
def test_a_message_is_these_bytes_and_they_are_the_message(message: Message, by_hand: str) -> None:
    on_the_wire = bytes.fromhex(by_hand)

    assert message.SerializeToString(deterministic=True) == on_the_wire
    assert type(message).FromString(on_the_wire) == message


def test_no_message_is_left_out() -> None:
    assert {message.DESCRIPTOR.full_name for message, _ in GOLDEN} == MESSAGES.keys()


def test_none_of_a_claims_fields_is_left_out() -> None:
    named = {claim.WhichOneof("claim") for claim, _ in CLAIMS}
    assert named == {field.name for field in claim_pb2.Claim.DESCRIPTOR.fields}
