"""How a call fails: a status code, words that name the record, and a reason that programs can read.

Services raise it, the gate turns it into what gRPC sends (google.rpc.Status with ErrorInfo). It never carries
what the caller may not see. Stands behind `Request -> ClassificationKey -> Decision` and the third road.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from topology.claims.model import Subject
from topology.claims.owners import OwnerElsewhere, OwnerMoving, name_of, subject_of
from topology.claims.rules import Leased, NotThere, NotYours, Obstacle, Taken, Unreadable
from topology.claims.transfer_obstacles import (
    FenceLifted,
    LeasesOpen,
    OwnerUnknown,
    Scattered,
    SidecarsBehind,
    TransferObstacle,
    Unfenced,
    WrongEpoch,
)
from topology.errors import StoreRefused, StoreUnavailable
from topology.model import Problem

DOMAIN: Final = "topology.cellplane"
# gRPC refuses an answer whose trailers pass 8 KiB; the words go twice, and binary as base64.
_WORDS: Final = 1500
_PROBLEM_BYTES: Final = 2500
DETAILS: Final = "grpc-status-details-bin"
# Where several things stand in the way, the one that no waiting mends is told.
_HINDERED: Final[Mapping[type, str]] = {
    OwnerElsewhere: "OWNER_ELSEWHERE",
    OwnerMoving: "OWNER_MOVING",
    OwnerUnknown: "NOT_FOUND",
    WrongEpoch: "OWNER_EPOCH",
    Scattered: "OWNER_SCATTERED",
    LeasesOpen: "LEASES_OPEN",
    Unreadable: "CLAIM_UNREADABLE",
    Unfenced: "OWNER_CLAIMING",
    FenceLifted: "OWNER_MOVING",
    SidecarsBehind: "SIDECARS_BEHIND",
}
_PERMANENT_FIRST: Final = (Taken, NotYours, NotThere, Unreadable, OwnerElsewhere, Leased, OwnerMoving)


@dataclass
class Failure(Exception):
    """Ends a call."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_seconds: float = 0.0
    problems: Sequence[Problem] = ()

    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        """Spell the details for gRPC's trailers."""
        details: list[any_pb2.Any] = []
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
            details.append(_packed(info))
        if self.retry_seconds:
            wait = duration_pb2.Duration(nanos=int(self.retry_seconds * 1e9))
            details.append(_packed(error_details_pb2.RetryInfo(retry_delay=wait)))
        if self.problems:
            fields = [
                error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.message)
                for each in self.problems
            ]
            details.append(_packed(error_details_pb2.BadRequest(field_violations=fields)))
        if not details:
            return ()
        code, _ = self.code.value
        status = status_pb2.Status(code=code, message=self.message, details=details)
        return ((DETAILS, status.SerializeToString()),)


def invalid(message: str, reason: str = "INVALID") -> Failure:
    """Say that the request can't be right."""
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, reason)


def owner_named(name: str, field: str) -> Subject:
    """Read an owner's name, or raise Failure with the field that it is in."""
    subject = subject_of(name)
    if subject is None:
        raise invalid(f"{field}: {name[:64]!r} is no owner: name one like ORGANIZATION/42", "OWNER_INVALID")
    return subject


def invalid_fields(problems: Sequence[Problem], code: grpc.StatusCode, reason: str) -> Failure:
    """Say which rules the request breaks."""
    words = "; ".join(str(problem) for problem in problems[:10])[:_WORDS]
    more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
    return Failure(code, words + more, reason, problems=tuple(_fitting(problems)))


def _fitting(problems: Sequence[Problem]) -> Iterator[Problem]:
    """Give as many problems as trailers can carry."""
    left = _PROBLEM_BYTES
    for problem in problems:
        left -= len(str(problem).encode()) + 16
        if left < 0:
            return
        yield problem


def not_found(message: str, reason: str = "NOT_FOUND") -> Failure:
    """Say that there is none: a normal answer, which may be remembered."""
    return Failure(grpc.StatusCode.NOT_FOUND, message, reason)


def not_ready(what: str) -> Failure:
    """Say that this replica knows too little to answer yet."""
    return Failure(
        grpc.StatusCode.UNAVAILABLE,
        f"{what}: not read yet, try again",
        "NOT_READY",
        retry_seconds=0.5,
    )


def obstructed(obstacles: Sequence[Obstacle]) -> Failure:
    """Say what stands in the way of a batch. Every obstacle is named, the first decides the code."""
    ordered = sorted(obstacles, key=lambda each: _PERMANENT_FIRST.index(type(each)))
    words = "; ".join(str(each) for each in ordered[:10])
    more = f"; and {len(ordered) - 10} more" if len(ordered) > 10 else ""
    first = ordered[0]
    code, reason = grpc.StatusCode.FAILED_PRECONDITION, ""
    match first:
        case Taken():
            code, reason = grpc.StatusCode.ALREADY_EXISTS, "CLAIM_TAKEN"
        case NotYours():
            reason = "CLAIM_NOT_OWNED"
        case NotThere():
            reason = "CLAIM_NOT_FOUND"
        case Unreadable():
            reason = "CLAIM_UNREADABLE"
        case Leased():
            reason = "CLAIM_LEASED"
        case OwnerElsewhere():
            reason = "OWNER_ELSEWHERE"
        case OwnerMoving():
            reason = "OWNER_MOVING"
    if isinstance(first, OwnerElsewhere | OwnerMoving):
        about = {"owner": name_of(first.subject)}
    else:
        about = {"bucket_type": first.bucket.type.name, "bucket_value": first.bucket.value[:256]}
    temporary = isinstance(first, Leased | OwnerMoving)
    return Failure(code, words + more, reason, about, retry_seconds=0.5 if temporary else 0.0)


def hindered(obstacles: Sequence[TransferObstacle]) -> Failure:
    """Say what stands in the way of a transfer. All are named, the first that no waiting mends tells the
    code.
    """
    temporary = (OwnerMoving, LeasesOpen, Unfenced, FenceLifted, SidecarsBehind)
    ordered = sorted(obstacles, key=lambda each: isinstance(each, temporary))
    words = "; ".join(str(each) for each in ordered[:10])
    more = f"; and {len(ordered) - 10} more" if len(ordered) > 10 else ""
    first = ordered[0]
    code = (
        grpc.StatusCode.NOT_FOUND if isinstance(first, OwnerUnknown) else grpc.StatusCode.FAILED_PRECONDITION
    )
    about = {} if isinstance(first, Unreadable) else {"owner": name_of(first.subject)}
    if isinstance(first, LeasesOpen):
        about["leases"] = ",".join(first.leases[:10])
    if isinstance(first, SidecarsBehind):
        about["sidecars"] = ",".join(first.sidecars[:10])
    wait = 0.5 if isinstance(first, temporary) else 0.0
    return Failure(code, words + more, _HINDERED[type(first)], about, retry_seconds=wait)


def failure_of(error: BaseException) -> Failure | None:
    """Say what an error means to the caller; None where it is a bug of ours."""
    match error:
        case Failure():
            return error
        case StoreUnavailable():
            return Failure(
                grpc.StatusCode.UNAVAILABLE, f"the store: {error}", "STORE_UNAVAILABLE", retry_seconds=0.5
            )
        case StoreRefused():
            return Failure(grpc.StatusCode.INTERNAL, f"the store refused: {error}", "STORE_REFUSED")
        case _:
            return None


def _packed(
    message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo | error_details_pb2.BadRequest,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
