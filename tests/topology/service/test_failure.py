"""How calls fail."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.topology.claims.samples import LEASE_1, OWNER, route
from topology.claims.owners import OwnerElsewhere, OwnerMoving
from topology.claims.rules import Leased, NotThere, NotYours, Obstacle, Taken, Unreadable
from topology.model import Problem
from topology.service.failure import Failure, invalid, invalid_fields, not_found, not_ready, obstructed

A = route("a")


@pytest.mark.parametrize(
    ("obstacle", "code", "reason", "retry"),
    [
        (Taken(A, 2), grpc.StatusCode.ALREADY_EXISTS, "CLAIM_TAKEN", False),
        (Leased(A, LEASE_1), grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_LEASED", True),
        (NotThere(A), grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_NOT_FOUND", False),
        (NotYours(A, 2), grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_NOT_OWNED", False),
        (Unreadable(A, "no JSON"), grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_UNREADABLE", False),
    ],
)
def test_each_obstacle_has_its_code(
    obstacle: Obstacle, code: grpc.StatusCode, reason: str, retry: bool
) -> None:
    found = obstructed([obstacle])
    assert (found.code, found.reason, bool(found.retry_seconds)) == (code, reason, retry)
    assert 'ROUTES "a"' in found.message
    assert found.metadata == {"bucket_type": "ROUTES", "bucket_value": "a"}


def test_owners_in_the_way_are_named() -> None:
    away = obstructed([OwnerElsewhere(OWNER, 2, 3)])
    assert (away.code, away.reason, away.retry_seconds) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "OWNER_ELSEWHERE",
        0.0,
    )
    assert away.metadata == {"owner": "NAMESPACE/42"}
    going = obstructed([OwnerMoving(OWNER, LEASE_1)])
    assert (going.code, going.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OWNER_MOVING")
    assert going.retry_seconds == 0.5


def test_what_no_waiting_mends_is_told_first() -> None:
    found = obstructed([Leased(route("b"), LEASE_1), NotThere(route("c")), Taken(A, 2)])
    assert (found.code, found.metadata["bucket_value"]) == (grpc.StatusCode.ALREADY_EXISTS, "a")
    assert found.message.index('"a"') < found.message.index('"c"') < found.message.index('"b"')


def test_a_long_list_is_cut() -> None:
    found = obstructed([Taken(route(f"n{number}"), 2) for number in range(1000)])
    assert found.message.endswith("; and 990 more")
    problems = [Problem(field=f"f{number}", message="is bad") for number in range(1000)]
    many = invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "X")
    assert many.message.endswith("f9: is bad; and 990 more")
    assert 50 < len(many.problems) < 100
    assert sum(len(value) for _, value in many.trailers()) < 8000
    long = invalid_fields([Problem(field="f", message="x" * 900)] * 20, grpc.StatusCode.INVALID_ARGUMENT, "X")
    assert long.message.endswith("x; and 10 more")
    assert sum(len(value) * 4 // 3 for _, value in long.trailers()) + len(long.message) < 8000


def details(failure: Failure) -> status_pb2.Status:
    ((name, value),) = failure.trailers()
    assert name == "grpc-status-details-bin"
    return status_pb2.Status.FromString(value)


def test_details_travel_as_googles_status() -> None:
    status = details(obstructed([Leased(A, LEASE_1)]))
    assert status.code == 9
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)["bucket_value"]) == (
        "CLAIM_LEASED",
        "topology.cellplane",
        "a",
    )
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 500


def test_fields_travel_as_violations() -> None:
    status = details(
        invalid_fields([Problem(field="id", message="no")], grpc.StatusCode.INVALID_ARGUMENT, "X")
    )
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert [(each.field, each.description) for each in bad.field_violations] == [("id", "no")]


def test_a_failure_without_details_sends_none() -> None:
    assert Failure(grpc.StatusCode.INTERNAL, "x").trailers() == ()


def test_the_short_ones() -> None:
    assert invalid("x").code is grpc.StatusCode.INVALID_ARGUMENT
    assert not_found("x").code is grpc.StatusCode.NOT_FOUND
    assert not_ready("it").message == "it: not read yet, try again"
