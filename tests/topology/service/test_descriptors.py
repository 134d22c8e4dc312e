"""The wire of GitLab's Topology Service: every number by hand, compared with what is generated."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service import (
    autz_pb2,
    cell_info_pb2,
    cell_service_pb2,
    classify_service_pb2,
    health_service_pb2,
    sequence_service_pb2,
)
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2 as claims_pb2
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2

TS = "gitlab.cells.topology_service"
CLAIMS = f"{TS}.claims.v1"
TYPES = f"{TS}.types.v1"
FILES: tuple[FileDescriptor, ...] = (
    autz_pb2.DESCRIPTOR,
    cell_info_pb2.DESCRIPTOR,
    cell_service_pb2.DESCRIPTOR,
    classify_service_pb2.DESCRIPTOR,
    health_service_pb2.DESCRIPTOR,
    sequence_service_pb2.DESCRIPTOR,
    messages_pb2.DESCRIPTOR,
    claims_pb2.DESCRIPTOR,
    claim_pb2.DESCRIPTOR,
    uuid_pb2.DESCRIPTOR,
)

# number: name, type (`?` has presence, `*` repeats, `=` is in the oneof)
MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    f"{TS}.AccessControl": {1: ("authorization_rules", f"*{TS}.AuthorizationRule")},
    f"{TS}.SequenceRange": {1: ("minval", "int64"), 2: ("maxval", "int64")},
    f"{TS}.CellInfo": {
        1: ("id", "int64"),
        3: ("address", "string"),
        4: ("session_prefix", "string"),
        5: ("sequence_range", f"{TS}.SequenceRange"),
        6: ("sequence_ranges", f"*{TS}.SequenceRange"),
    },
    f"{TS}.GetCellsRequest": {},
    f"{TS}.GetCellsResponse": {1: ("cells", f"*{TS}.CellInfo")},
    f"{TS}.GetCellRequest": {2: ("cell_id", "int64")},
    f"{TS}.GetCellResponse": {1: ("cell_info", f"{TS}.CellInfo")},
    f"{TS}.ClassifyRequest": {
        2: ("type", f"{TS}.ClassifyType"),
        3: ("value", "string"),
        5: ("claims", f"*{TYPES}.Claim"),
    },
    f"{TS}.ProxyInfo": {1: ("address", "string")},
    f"{TS}.ClassifyResponse": {1: ("action", f"{TS}.ClassifyAction"), 2: ("proxy", f"{TS}.ProxyInfo")},
    f"{TS}.ReadinessProbeRequest": {},
    f"{TS}.ReadinessProbeResponse": {},
    f"{TS}.LivenessProbeRequest": {},
    f"{TS}.LivenessProbeResponse": {},
    f"{TYPES}.UUID": {1: ("value", "string")},
    f"{TYPES}.Claim": {
        1: ("route", "=string"),
        2: ("organization_path", "=string"),
        3: ("redirect_route", "=string"),
        4: ("username", "=string"),
        5: ("email", "=string"),
        6: ("project_id", "=int64"),
        7: ("namespace_id", "=int64"),
        8: ("gpg_key", "=string"),
        9: ("ssh_key", "=string"),
        10: ("user_id", "=int64"),
        11: ("organization_id", "=int64"),
        12: ("service_desk_custom_email", "=string"),
        13: ("gpg_key_fingerprint", "=string"),
        15: ("ssh_key_fingerprint", "=string"),
        16: ("snippet_id", "=int64"),
        17: ("pages_domain", "=string"),
        18: ("pages_unique_domain", "=string"),
    },
    f"{CLAIMS}.Bucket": {1: ("type", f"{CLAIMS}.Bucket.Type"), 2: ("value", "string")},
    f"{CLAIMS}.Subject": {1: ("type", f"{CLAIMS}.Subject.Type"), 2: ("id", "int64")},
    f"{CLAIMS}.Source": {1: ("type", f"{CLAIMS}.Source.Type"), 2: ("rails_primary_key_id", "bytes")},
    f"{CLAIMS}.Metadata": {
        1: ("bucket", f"{CLAIMS}.Bucket"),
        2: ("subject", f"{CLAIMS}.Subject"),
        3: ("source", f"{CLAIMS}.Source"),
        4: ("user_data", "?google.protobuf.Any"),
        5: ("claim", f"?{TYPES}.Claim"),
    },
    f"{CLAIMS}.Record": {
        1: ("uuid", f"{TYPES}.UUID"),
        2: ("metadata", f"{CLAIMS}.Metadata"),
        3: ("cell_id", "int64"),
        4: ("status", f"{CLAIMS}.Record.Status"),
        5: ("lease_uuid", f"?{TYPES}.UUID"),
        6: ("created_at", "google.protobuf.Timestamp"),
        7: ("updated_at", "google.protobuf.Timestamp"),
    },
    f"{CLAIMS}.LeaseRecord": {
        1: ("uuid", f"{TYPES}.UUID"),
        2: ("created_at", "google.protobuf.Timestamp"),
        3: ("updated_at", "google.protobuf.Timestamp"),
    },
    f"{CLAIMS}.GetRecordRequest": {1: ("bucket", f"{CLAIMS}.Bucket"), 2: ("claim", f"?{TYPES}.Claim")},
    f"{CLAIMS}.GetRecordResponse": {1: ("record", f"{CLAIMS}.Record"), 2: ("cell_info", f"?{TS}.CellInfo")},
    f"{CLAIMS}.BeginUpdateRequest": {
        1: ("create_records", f"*{CLAIMS}.Metadata"),
        2: ("destroy_records", f"*{CLAIMS}.Metadata"),
        3: ("cell_id", "int64"),
    },
    f"{CLAIMS}.BeginUpdateResponse": {1: ("cell_id", "int64"), 2: ("lease_uuid", f"{TYPES}.UUID")},
    f"{CLAIMS}.CommitUpdateRequest": {1: ("cell_id", "int64"), 2: ("lease_uuid", f"{TYPES}.UUID")},
    f"{CLAIMS}.CommitUpdateResponse": {},
    f"{CLAIMS}.RollbackUpdateRequest": {1: ("cell_id", "int64"), 2: ("lease_uuid", f"{TYPES}.UUID")},
    f"{CLAIMS}.RollbackUpdateResponse": {},
    f"{CLAIMS}.ListLeasesRequest": {
        1: ("cell_id", "int64"),
        2: ("next", "?google.protobuf.Any"),
        3: ("limit", "?int32"),
        4: ("created_after", "?google.protobuf.Timestamp"),
    },
    f"{CLAIMS}.ListLeasesResponse": {
        1: ("leases", f"*{CLAIMS}.LeaseRecord"),
        2: ("next", "?google.protobuf.Any"),
    },
    f"{CLAIMS}.ListRecordsRequest": {
        1: ("cell_id", "int64"),
        2: ("source_type", f"{CLAIMS}.Source.Type"),
        3: ("bucket_types", f"*{CLAIMS}.Bucket.Type"),
        4: ("source_id_gt", "bytes"),
        5: ("source_id_lte", "bytes"),
        6: ("claim_types", f"*{TYPES}.ClaimType"),
    },
    f"{CLAIMS}.ListRecordsResponse": {1: ("records", f"*{CLAIMS}.Record"), 2: ("truncated", "bool")},
}

ENUMS: dict[str, dict[int, str]] = {
    f"{TS}.AuthorizationRule": {
        0: "RULE_UNSPECIFIED",
        1: "RULE_ALLOW_ANY_AUTHENTICATED",
        2: "RULE_ALLOW_ANY_CELL",
        3: "RULE_ALLOW_MATCHING_CELL_ONLY",
        4: "RULE_ALLOW_ANY_ROUTER",
        5: "RULE_ALLOW_ANY_ADMIN",
    },
    f"{TS}.ClassifyType": {0: "UNSPECIFIED", 1: "FIRST_CELL", 2: "SESSION_PREFIX", 3: "CELL_ID"},
    f"{TS}.ClassifyAction": {0: "ACTION_UNSPECIFIED", 1: "PROXY"},
    f"{TYPES}.ClaimType": {
        0: "CLAIM_TYPE_UNSPECIFIED",
        1: "CLAIM_TYPE_ROUTE",
        2: "CLAIM_TYPE_ORGANIZATION_PATH",
        3: "CLAIM_TYPE_REDIRECT_ROUTE",
        4: "CLAIM_TYPE_USERNAME",
        5: "CLAIM_TYPE_EMAIL",
        6: "CLAIM_TYPE_PROJECT_ID",
        7: "CLAIM_TYPE_NAMESPACE_ID",
        8: "CLAIM_TYPE_GPG_KEY",
        9: "CLAIM_TYPE_SSH_KEY",
        10: "CLAIM_TYPE_USER_ID",
        11: "CLAIM_TYPE_ORGANIZATION_ID",
        12: "CLAIM_TYPE_SERVICE_DESK_CUSTOM_EMAIL",
        13: "CLAIM_TYPE_GPG_KEY_FINGERPRINT",
        15: "CLAIM_TYPE_SSH_KEY_FINGERPRINT",
        16: "CLAIM_TYPE_SNIPPET_ID",
        17: "CLAIM_TYPE_PAGES_DOMAIN",
        18: "CLAIM_TYPE_PAGES_UNIQUE_DOMAIN",
    },
    f"{CLAIMS}.Bucket.Type": {
        0: "UNSPECIFIED",
        1: "ROUTES",
        2: "ORGANIZATION_PATH",
        3: "REDIRECT_ROUTES",
        4: "USERNAMES",
        5: "EMAILS",
        6: "PROJECT_IDS",
        7: "NAMESPACE_IDS",
        8: "GPG_KEYS",
        9: "SSH_KEYS",
        10: "USER_IDS",
        11: "ORGANIZATION_IDS",
        12: "SERVICE_DESK_CUSTOM_EMAILS",
        13: "GPG_KEY_FINGERPRINTS",
        15: "SSH_KEY_FINGERPRINTS",
        16: "SNIPPET_IDS",
        17: "PAGES_DOMAINS",
        18: "PAGES_UNIQUE_DOMAINS",
    },
    f"{CLAIMS}.Subject.Type": {0: "UNSPECIFIED", 1: "ORGANIZATION", 2: "NAMESPACE", 3: "PROJECT", 4: "USER"},
    f"{CLAIMS}.Source.Type": {
        0: "UNSPECIFIED",
        1: "RAILS_TABLE_USERS",
        2: "RAILS_TABLE_EMAILS",
        3: "RAILS_TABLE_ROUTES",
        4: "RAILS_TABLE_PROJECTS",
        5: "RAILS_TABLE_NAMESPACES",
        6: "RAILS_TABLE_ORGANIZATIONS",
        7: "RAILS_TABLE_REDIRECT_ROUTES",
        8: "RAILS_TABLE_GPG_KEYS",
        9: "RAILS_TABLE_KEYS",
        10: "RAILS_TABLE_SERVICE_DESK_SETTINGS",
        11: "RAILS_TABLE_MEMBERS",
        12: "RAILS_TABLE_SNIPPETS",
        13: "RAILS_TABLE_PAGES_DOMAINS",
        14: "RAILS_TABLE_PROJECT_SETTINGS",
    },
    f"{CLAIMS}.Record.Status": {0: "UNSPECIFIED", 1: "ACTIVE", 2: "LEASE_CREATING", 3: "LEASE_DESTROYING"},
}

# service: method: request, response, who may call it (none: no rule is known)
SERVICES: dict[str, dict[str, tuple[str, str, list[int]]]] = {
    f"{TS}.ClassifyService": {
        "GetCells": (f"{TS}.GetCellsRequest", f"{TS}.GetCellsResponse", [1]),
        "Classify": (f"{TS}.ClassifyRequest", f"{TS}.ClassifyResponse", [2, 4, 5]),
    },
    f"{TS}.CellService": {"GetCell": (f"{TS}.GetCellRequest", f"{TS}.GetCellResponse", [])},
    f"{TS}.SequenceService": {},
    f"{TS}.HealthService": {
        "ReadinessProbe": (f"{TS}.ReadinessProbeRequest", f"{TS}.ReadinessProbeResponse", []),
        "LivenessProbe": (f"{TS}.LivenessProbeRequest", f"{TS}.LivenessProbeResponse", []),
    },
    f"{CLAIMS}.ClaimService": {
        "GetCells": (f"{TS}.GetCellsRequest", f"{TS}.GetCellsResponse", [1]),
        "GetRecord": (f"{CLAIMS}.GetRecordRequest", f"{CLAIMS}.GetRecordResponse", [5]),
        "BeginUpdate": (f"{CLAIMS}.BeginUpdateRequest", f"{CLAIMS}.BeginUpdateResponse", [3, 5]),
        "CommitUpdate": (f"{CLAIMS}.CommitUpdateRequest", f"{CLAIMS}.CommitUpdateResponse", [3, 5]),
        "RollbackUpdate": (f"{CLAIMS}.RollbackUpdateRequest", f"{CLAIMS}.RollbackUpdateResponse", [3, 5]),
        "ListLeases": (f"{CLAIMS}.ListLeasesRequest", f"{CLAIMS}.ListLeasesResponse", [3, 5]),
        "ListRecords": (f"{CLAIMS}.ListRecordsRequest", f"{CLAIMS}.ListRecordsResponse", [3, 5]),
    },
}

_TYPES = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def kind(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        name = field.message_type.full_name
    elif field.enum_type is not None:
        name = field.enum_type.full_name
    else:
        name = _TYPES[field.type]
    if field.is_repeated:
        return f"*{name}"
    oneof = field.containing_oneof
    if oneof is None:
        return name
    return f"?{name}" if oneof.name == f"_{field.name}" else f"={name}"


def fields(message: Descriptor) -> dict[int, tuple[str, str]]:
    return {field.number: (field.name, kind(field)) for field in message.fields}


def test_every_message_has_these_fields_and_no_other() -> None:
    found = {
        message.full_name: fields(message)
        for file in FILES
        for message in file.message_types_by_name.values()
    }
    assert found == MESSAGES


def test_every_enum_has_these_values_and_no_other() -> None:
    enums = [enum for file in FILES for enum in file.enum_types_by_name.values()]
    for file in FILES:
        for message in file.message_types_by_name.values():
            enums += message.enum_types
    assert {enum.full_name: {value.number: value.name for value in enum.values} for enum in enums} == ENUMS


def test_every_service_has_these_methods_under_these_rules() -> None:
    found = {
        service.full_name: {
            method.name: (
                method.input_type.full_name,
                method.output_type.full_name,
                list(method.GetOptions().Extensions[autz_pb2.access_control].authorization_rules),
            )
            for method in service.methods
        }
        for file in FILES
        for service in file.services_by_name.values()
    }
    assert found == SERVICES


def test_the_access_option_has_gitlabs_number() -> None:
    assert autz_pb2.access_control.number == 90000
    method = classify_service_pb2.DESCRIPTOR.services_by_name["ClassifyService"].methods_by_name["GetCells"]
    # 90000 << 3 | 2 as a varint, three bytes long, and in it field 1 packed: rule 1.
    assert method.GetOptions().SerializeToString() == b"\x82\xf9\x2b\x03\x0a\x01\x01"


def test_classify_has_its_road_over_http() -> None:
    method = classify_service_pb2.DESCRIPTOR.services_by_name["ClassifyService"].methods_by_name["Classify"]
    # google.api.http is 72295728: post "/v1/classify", body "*".
    assert b"\x82\xd3\xe4\x93\x02\x11\x22\x0c/v1/classify:\x01*" in method.GetOptions().SerializeToString()


def test_our_own_package_guards_every_method() -> None:
    (service,) = cells_pb2.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        rules = list(method.GetOptions().Extensions[autz_pb2.access_control].authorization_rules)
        reads = method.name in {"ListCells", "GetCell", "Watch"}
        assert rules == ([1] if reads else [5]), method.name
