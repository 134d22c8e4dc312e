"""Claims as values."""

from __future__ import annotations

from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from tests.topology.claims.samples import batch, route
from topology.claims.model import NUMBERS, BucketType, SourceType, Status, SubjectType


def test_the_numbers_are_those_of_the_wire() -> None:
    wire = dict(messages_pb2.Bucket.Type.items())
    assert wire.pop("UNSPECIFIED") == 0
    assert {each.name: int(each) for each in BucketType} == wire
    assert {each.name: int(each) for each in SubjectType} == dict(messages_pb2.Subject.Type.items())
    assert {each.name: int(each) for each in SourceType} == dict(messages_pb2.Source.Type.items())
    assert {each.value for each in Status} | {"UNSPECIFIED"} == set(messages_pb2.Record.Status.keys())


def test_buckets_of_numbers() -> None:
    assert {each.value for each in NUMBERS} == {6, 7, 10, 11, 16}


def test_a_bucket_names_itself() -> None:
    assert str(route("acme")) == 'ROUTES "acme"'


def test_a_batch_names_its_buckets_creates_first() -> None:
    assert batch(1, ["b", "a"], ["c"]).buckets == (route("b"), route("a"), route("c"))
