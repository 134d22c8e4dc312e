"""Calls every method of GitLab's services with stubs that were generated from their proto files alone.

`python calls.py ADDRESS CA CERT KEY ADMIN_CERT ADMIN_KEY`: the first identity is a cell's, CELL-2. Prints
the methods that were called; stops at the first thing that is not so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from proto import (
    cell_info_pb2,
    cell_service_pb2,
    cell_service_pb2_grpc,
    classify_pb2,
    classify_pb2_grpc,
    health_pb2,
    health_pb2_grpc,
)
from proto.claims.v1 import claims_pb2 as wire
from proto.claims.v1 import claims_pb2_grpc
from proto.types.v1 import claim_pb2

CELL = 2


def channel(address: str, ca: str, cert: str, key: str) -> Any:
    blobs = [Path(each).read_bytes() for each in (ca, key, cert)]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*blobs))


def refused(call: Callable[[], Any], code: grpc.StatusCode, reason: str, words: str) -> None:
    """See that a call fails as clients expect it, with words that name the record."""
    try:
        call()
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
        info = error_details_pb2.ErrorInfo()
        for each in status_pb2.Status.FromString(details).details:
            each.Unpack(info)
        assert (error.code(), info.reason) == (code, reason), error
        assert words in error.details(), error.details()
    else:
        raise AssertionError(f"{code} was expected")


def until(look: Callable[[], bool]) -> None:
    """Wait for what the service answers from memory: it follows its store a moment later."""
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def metadata(path: str, row: int) -> Any:
    return wire.Metadata(
        bucket=wire.Bucket(type=wire.Bucket.ROUTES, value=path),
        subject=wire.Subject(type=wire.Subject.NAMESPACE, id=42),
        source=wire.Source(type=wire.Source.RAILS_TABLE_ROUTES, rails_primary_key_id=row.to_bytes(8, "big")),
        claim=claim_pb2.Claim(route=path),
    )


def begin(claims: Any, creates: list[Any], destroys: list[Any] = []) -> Any:  # noqa: B006  it is only read
    request = wire.BeginUpdateRequest(cell_id=CELL, create_records=creates, destroy_records=destroys)
    answer = claims.BeginUpdate(request, timeout=10)
    assert answer.cell_id == CELL
    return answer.lease_uuid


def routing(cell: Any) -> None:
    classify = classify_pb2_grpc.ClassifyServiceStub(cell)
    listed = classify.GetCells(cell_info_pb2.GetCellsRequest()).cells
    assert [(each.id, each.session_prefix) for each in listed] == [(1, "cell-1"), (2, "cell-2")]
    assert listed[1].sequence_range == listed[1].sequence_ranges[0]
    assert listed[1].sequence_ranges[0].minval == 10**12
    for kind, value in ((classify_pb2.CELL_ID, "2"), (classify_pb2.SESSION_PREFIX, "cell-2")):
        answer = classify.Classify(classify_pb2.ClassifyRequest(type=kind, value=value))
        assert (answer.action, answer.proxy.address) == (classify_pb2.PROXY, "cell-2.example.com")
    first = classify.Classify(classify_pb2.ClassifyRequest(type=classify_pb2.FIRST_CELL))
    assert first.proxy.address == "cell-1.example.com"
    claims = [claim_pb2.Claim(route="nobody"), claim_pb2.Claim(route="acme")]
    found = classify.Classify(classify_pb2.ClassifyRequest(claims=claims))
    assert found.proxy.address == "cell-2.example.com"
    nobody = classify_pb2.ClassifyRequest(claims=claims[:1])
    refused(lambda: classify.Classify(nobody), grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "nobody claims it")
    nothing = classify_pb2.ClassifyRequest()
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    refused(lambda: classify.Classify(nothing), wrong, "INVALID", 'invalid type: "UNSPECIFIED"')
    info = cell_service_pb2_grpc.CellServiceStub(cell).GetCell(cell_service_pb2.GetCellRequest(cell_id=CELL))
    assert info.cell_info == listed[1]
    health = health_pb2_grpc.HealthServiceStub(cell)
    assert health.ReadinessProbe(health_pb2.ReadinessProbeRequest()) == health_pb2.ReadinessProbeResponse()
    assert health.LivenessProbe(health_pb2.LivenessProbeRequest()) == health_pb2.LivenessProbeResponse()
    print("GetCells Classify GetCell ReadinessProbe LivenessProbe")


def leasing(cell: Any, admin: Any) -> None:
    claims, admins = (claims_pb2_grpc.ClaimServiceStub(each) for each in (cell, admin))
    assert [each.id for each in claims.GetCells(cell_info_pb2.GetCellsRequest()).cells] == [1, 2]
    begun = timestamp_pb2.Timestamp()
    begun.GetCurrentTime()
    lease = begin(claims, [metadata("acme", 1), metadata("acme/web", 2)])
    failed = grpc.StatusCode.FAILED_PRECONDITION
    refused(lambda: begin(claims, [metadata("acme", 1)]), failed, "CLAIM_LEASED", '"acme"')
    listed = wire.ListLeasesRequest(cell_id=CELL, limit=1)
    until(lambda: [each.uuid for each in claims.ListLeases(listed).leases] == [lease])
    another = begin(claims, [metadata("other", 3)])
    until(lambda: claims.ListLeases(listed).HasField("next"))
    rest = wire.ListLeasesRequest(cell_id=CELL, limit=1, next=claims.ListLeases(listed).next)
    assert [each.uuid for each in claims.ListLeases(rest).leases] == [another]
    late = timestamp_pb2.Timestamp(seconds=begun.seconds + 3600)
    assert not claims.ListLeases(wire.ListLeasesRequest(cell_id=CELL, created_after=late)).leases
    for _ in range(2):  # twice, as after an answer that got lost
        claims.CommitUpdate(wire.CommitUpdateRequest(cell_id=CELL, lease_uuid=lease))
        claims.RollbackUpdate(wire.RollbackUpdateRequest(cell_id=CELL, lease_uuid=another))
    taken = grpc.StatusCode.ALREADY_EXISTS
    refused(lambda: begin(claims, [metadata("acme", 9)]), taken, "CLAIM_TAKEN", '"acme"')
    both = [metadata("acme", 1)]
    wrong = grpc.StatusCode.INVALID_ARGUMENT
    refused(lambda: begin(claims, both, both), wrong, "BATCH_INVALID", '"acme"')
    record = admins.GetRecord(wire.GetRecordRequest(bucket=metadata("acme", 1).bucket))
    assert (record.record.status, record.record.cell_id) == (wire.Record.ACTIVE, CELL)
    assert record.record.metadata == metadata("acme", 1)
    assert not record.record.HasField("lease_uuid")
    assert record.cell_info.id == CELL
    by_claim = admins.GetRecord(wire.GetRecordRequest(claim=claim_pb2.Claim(route="acme")))
    assert by_claim == record
    gone = wire.GetRecordRequest(bucket=metadata("other", 3).bucket)
    refused(lambda: admins.GetRecord(gone), grpc.StatusCode.NOT_FOUND, "NOT_FOUND", '"other"')
    denied = grpc.StatusCode.PERMISSION_DENIED
    refused(lambda: claims.GetRecord(gone), denied, "ACCESS_DENIED", "CELL-2")
    of_another = wire.ListLeasesRequest(cell_id=1)
    refused(lambda: claims.ListLeases(of_another), denied, "ACCESS_DENIED", "for cell 1")
    wanted = wire.ListRecordsRequest(
        cell_id=CELL,
        source_type=wire.Source.RAILS_TABLE_ROUTES,
        bucket_types=[wire.Bucket.ROUTES],
        source_id_gt=(1).to_bytes(8, "big"),
        source_id_lte=(9).to_bytes(8, "big"),
        claim_types=[claim_pb2.CLAIM_TYPE_ROUTE],
    )

    def listing() -> list[str]:
        answer = claims.ListRecords(wanted)
        assert not answer.truncated
        return [each.metadata.bucket.value for each in answer.records if each.status == wire.Record.ACTIVE]

    until(lambda: listing() == ["acme/web"])
    print("GetCells BeginUpdate CommitUpdate RollbackUpdate GetRecord ListLeases ListRecords")


def main() -> None:
    address, ca, cert, key, admin_cert, admin_key = sys.argv[1:]
    with channel(address, ca, cert, key) as cell, channel(address, ca, admin_cert, admin_key) as admin:
        leasing(cell, admin)
        routing(cell)
    ours = {"cellplane", "envoy", "pb", "topology", "xds"} & {name.partition(".")[0] for name in sys.modules}
    assert not ours, ours


if __name__ == "__main__":
    main()
