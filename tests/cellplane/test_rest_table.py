"""The table of what is served over HTTP: parameters become requests, strictly."""

from __future__ import annotations

import pytest

from cellplane.rest_table import TABLE, Operation, message_of, values_of
from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from topology.service.failure import Failure
from topology.service.gate import rules_of
from topology.service.server import FILES

BY_PATH = {operation.path: operation for operation in TABLE}
CLAIMS = BY_PATH["/v1/cells/{id}/claims"]


def test_every_path_is_a_method_with_a_rule_and_its_fields_exist() -> None:
    rules = rules_of(FILES)
    assert len(BY_PATH) == len(TABLE)
    for operation in TABLE:
        assert rules[operation.method]
        for name in operation.fields:
            operation.parameter(name)
        assert operation.path.count("{") == len(operation.in_path)


def test_parameters_fill_the_request() -> None:
    listed = BY_PATH["/v1/cells"].request([("revision", "12"), ("fresh", "true")])
    assert listed == cells_pb2.ListCellsRequest(revision=12, fresh=True)
    records = CLAIMS.request(
        [("id", "4"), ("bucketType", "ROUTES"), ("bucketType", "EMAILS"), ("sourceIdGt", "AAE=")]
    )
    assert records == service_pb2.ListRecordsRequest(
        cell_id=4,
        bucket_types=[messages_pb2.Bucket.ROUTES, messages_pb2.Bucket.EMAILS],
        source_id_gt=b"\x00\x01",
    )
    record = BY_PATH["/v1/claims"].request([("bucketType", "ROUTES"), ("value", "a/b")])
    assert record == service_pb2.GetRecordRequest(
        bucket=messages_pb2.Bucket(type=messages_pb2.Bucket.ROUTES, value="a/b")
    )


@pytest.mark.parametrize(
    ("operation", "given", "words"),
    [
        (
            BY_PATH["/v1/cells"],
            [("colour", "red")],
            "'colour' is no parameter here: there are",
        ),
        (BY_PATH["/v1/cells"], [("revision", "1_0")], "revision: '1_0' is no whole number"),
        (BY_PATH["/v1/cells"], [("revision", "9" * 19)], "the request is no ListCellsRequest"),
        (BY_PATH["/v1/cells"], [("fresh", "yes")], "fresh: 'yes' is neither true nor false"),
        (BY_PATH["/v1/cells"], [("fresh", "true"), ("fresh", "true")], "fresh: is there twice"),
        (CLAIMS, [("bucketType", "1")], "bucketType: '1' is none: send one of"),
        (CLAIMS, [("sourceIdGt", "?")], "sourceIdGt: '?' is no base64"),
        (CLAIMS, [("sourceIdGt", "A")], "the request is no ListRecordsRequest"),
        (BY_PATH["/v1/cells/{id}/leases"], [("createdAfter", "soon")], "the request is no ListLeasesRequest"),
    ],
)
def test_what_is_malformed_is_named(operation: Operation, given: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(Failure) as failed:
        operation.request(given)
    assert failed.value.message.startswith(words)


def test_what_a_field_holds() -> None:
    assert "ROUTES" in values_of(CLAIMS.parameter("bucketType"))
    created = BY_PATH["/v1/cells/{id}/leases"].parameter("createdAfter")
    assert message_of(created).full_name == "google.protobuf.Timestamp"
    for wrong in (lambda: values_of(created), lambda: message_of(CLAIMS.parameter("id"))):
        with pytest.raises(AssertionError):
            wrong()
