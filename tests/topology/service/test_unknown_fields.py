"""What a newer client says is refused with its number, at any depth, and never passed over."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service import classify_service_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2
from tests.topology.service.stage import Client, Stage, failure
from tests.topology.service.test_claim_service import request as begun
from topology.service.unknown_fields import unknown_fields

CLASSIFY = "/gitlab.cells.topology_service.ClassifyService/Classify"
BEGIN = "/gitlab.cells.topology_service.claims.v1.ClaimService/BeginUpdate"
DELETE = "/cellplane.topology.v1.CellService/DeleteCells"
WATCH = "/cellplane.topology.v1.CellService/Watch"
NEW = b"\xf8\x07\x01"  # field 127, a varint


def deep() -> bytes:
    wanted = begun(2, ["a", "b"])
    wanted.create_records[1].source.MergeFromString(NEW)
    return bytes(wanted.SerializeToString())


@pytest.mark.parametrize(
    ("method", "sent", "where"),
    [
        (CLASSIFY, classify_service_pb2.ClassifyRequest(value="2").SerializeToString() + NEW, "request"),
        (CLASSIFY, b"\x2a\x09\x0a\x04acme" + NEW, "claims[0]"),
        (BEGIN, begun(2, ["a"]).SerializeToString() + NEW, "request"),
        (BEGIN, deep(), "source"),
        (DELETE, cells_pb2.DeleteCellsRequest(ids=[3], reason="x").SerializeToString() + NEW, "request"),
    ],
)
async def test_a_field_that_is_not_known_is_refused_and_counted(
    stage: Stage, client: Client, method: str, sent: bytes, where: str
) -> None:
    call: Any = client.channel.unary_unary(method)
    refused = await failure(call(sent))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.words == f"{where}: holds field 127, which this version does not know"
    assert stage.server.counts.calls[method, "INVALID_ARGUMENT"] == 1
    if method == CLASSIFY:
        assert stage.server.classify.decisions == {("UNKNOWN", "invalid"): 1}
    # Nothing was done.
    await stage.caught_up()
    assert (len(stage.follower.index), len((await client.cells.ListCells(LIST)).cells)) == (0, 3)


LIST = cells_pb2.ListCellsRequest(fresh=True)


async def test_of_a_stream_too(client: Client) -> None:
    method: Any = client.channel.unary_stream(WATCH)
    refused = await failure(method(NEW).read())
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_UNKNOWN")


def test_each_is_named_with_where_it_is() -> None:
    request = service_pb2.BeginUpdateRequest.FromString(deep() + NEW)
    assert list(unknown_fields(request, "request")) == [
        "request: holds field 127, which this version does not know",
        "source: holds field 127, which this version does not know",
    ]
    cell = cells_pb2.Cell(id=1, addresses={"web": "x"})
    assert list(unknown_fields(cell, "cell")) == []
