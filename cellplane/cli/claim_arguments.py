"""What the claims commands take and show: buckets and values, cells, subjects, and the stub that they call.

`claims` and `claims_change` use it; it opens no connection and ends no call.
"""

from __future__ import annotations

from typing import Any, Final

import click

from cellplane.cli.outcome import Exit, fail
from cellplane.cli.ranges import CELL_ID
from cellplane.cli.service import CALL_SECONDS, identity
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2, service_pb2_grpc
from topology import forms
from topology.claims.model import Bucket, BucketType, SubjectType


class BucketChoice(click.Choice[str]):
    """A kind of claim, in any case; usage shows its name and not all of them."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Say what stands there."""
        del ctx
        return "BUCKET" if isinstance(param, click.Argument) else None


# What an edge extracts from a request's host, and compares as it is.
_HOSTS: Final = frozenset({BucketType.PAGES_DOMAINS.name, BucketType.PAGES_UNIQUE_DOMAINS.name})
BUCKET = BucketChoice([kind.name for kind in BucketType], case_sensitive=False)
CELL = click.option("--cell", "cell_id", type=CELL_ID, required=True, help="The cell that owns them.")


def stub(channel: Any) -> Any:
    """Return the stub of the claim service."""
    return service_pb2_grpc.ClaimServiceStub(channel)


def bucket_message(name: str, value: str) -> messages_pb2.Bucket:
    """Return a bucket by its name, in any case."""
    return messages_pb2.Bucket(type=messages_pb2.Bucket.Type.Value(name.upper()), value=value)


def check_host(name: str, value: str) -> None:
    """End the command where a host to be claimed is spelled as no request ever names it."""
    if name.upper() not in _HOSTS:
        return
    try:
        asked_for = value.rstrip(".").encode("idna").decode().lower()
        problem = forms.host_problem(asked_for)
    except UnicodeError:
        asked_for, problem = (
            value,
            f"{value!r} is no DNS name: a part of it is empty, or longer than 63 bytes",
        )
    if problem:
        fail(Exit.USAGE, f"{name.upper()}: {problem}.")
    if asked_for != value:
        fail(
            Exit.USAGE,
            f"{name.upper()} {value!r} is what no request asks for: hosts are compared in small letters, in "
            f"ASCII, without a dot at the end. Write {asked_for!r}.",
        )


def name_of(metadata: messages_pb2.Metadata) -> str:
    """Return what a claim is called: `ROUTES acme`."""
    return f"{messages_pb2.Bucket.Type.Name(metadata.bucket.type)} {metadata.bucket.value}"


def key_of(text: str) -> Bucket:
    """Read `BUCKET=VALUE`."""
    name, separator, value = text.partition("=")
    if not separator or name.upper() not in BucketType.__members__:
        fail(Exit.USAGE, f"{text!r} is no claim; write BUCKET=VALUE, for example ROUTES=acme.")
    return Bucket(BucketType[name.upper()], value)


def subject_of(text: str | None) -> messages_pb2.Subject | None:
    """Read `TYPE/ID`."""
    if text is None:
        return None
    kind, _, number = text.partition("/")
    digits = number.isascii() and number.isdigit() and int(number) < 2**63
    if kind.upper() not in SubjectType.__members__ or not digits:
        fail(Exit.USAGE, f"--subject {text!r}: write TYPE/ID, for example organization/42.")
    return messages_pb2.Subject(type=messages_pb2.Subject.Type.Value(kind.upper()), id=int(number))


def leases_of(channel: Any, cell_id: int) -> list[messages_pb2.LeaseRecord]:
    """Return a cell's open leases, the oldest first."""
    leases: list[messages_pb2.LeaseRecord] = []
    request = service_pb2.ListLeasesRequest(cell_id=cell_id, limit=1000)
    while True:
        page = stub(channel).ListLeases(request, timeout=CALL_SECONDS, metadata=identity())
        leases += page.leases
        if not page.HasField("next"):
            return leases
        request.next.CopyFrom(page.next)
