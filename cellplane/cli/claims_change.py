"""What `cellplane claims` changes: claims created and destroyed, leases closed.

Creating and destroying is a begin and its commit; nothing is written past the Topology Service.
"""

from __future__ import annotations

from typing import Any

import click

from cellplane.cli.claim_arguments import BUCKET, CELL, bucket_message, name_of, stub, subject_of
from cellplane.cli.outcome import output_option, print_json
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2


@click.command("create")
@CELL
@click.argument("bucket", type=BUCKET)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@click.option(
    "--subject", metavar="TYPE/ID", help="For whom: organization/42, namespace/7, project/8, user/9."
)
@service_options
@output_option
def create_claims(
    cell_id: int,
    bucket: str,
    values: tuple[str, ...],
    subject: str | None,
    service: ServiceSettings,
    output: str,
) -> None:
    """Claim values for a cell: all of them, or none where one is taken."""
    owner = subject_of(subject)
    records = [messages_pb2.Metadata(bucket=bucket_message(bucket, value), subject=owner) for value in values]
    request = service_pb2.BeginUpdateRequest(cell_id=cell_id, create_records=records)
    _begin_and_commit(service, request, f"claimed by cell {cell_id}", output)


@click.command("destroy")
@CELL
@click.argument("bucket", type=BUCKET)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@service_options
@output_option
def destroy_claims(
    cell_id: int, bucket: str, values: tuple[str, ...], service: ServiceSettings, output: str
) -> None:
    """Give up values that a cell claims: all of them, or none."""
    records = [messages_pb2.Metadata(bucket=bucket_message(bucket, value)) for value in values]
    request = service_pb2.BeginUpdateRequest(cell_id=cell_id, destroy_records=records)
    _begin_and_commit(service, request, f"given up by cell {cell_id}", output)


@click.command("commit")
@CELL
@click.argument("lease")
@service_options
def commit_lease(cell_id: int, lease: str, service: ServiceSettings) -> None:
    """Close a lease and keep what it created. For a cell that can't do so any more."""
    request = service_pb2.CommitUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    call(
        service,
        lambda channel: stub(channel).CommitUpdate(request, timeout=CALL_SECONDS, metadata=identity()),
    )
    click.echo(f"Lease {lease} is closed; what it created stays.")


@click.command("rollback")
@CELL
@click.argument("lease")
@service_options
def rollback_lease(cell_id: int, lease: str, service: ServiceSettings) -> None:
    """Close a lease and take everything back. For a cell that can't do so any more."""
    request = service_pb2.RollbackUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    call(
        service,
        lambda channel: stub(channel).RollbackUpdate(request, timeout=CALL_SECONDS, metadata=identity()),
    )
    click.echo(f"Lease {lease} is closed; all is as it was before.")


def _begin_and_commit(
    service: ServiceSettings, request: service_pb2.BeginUpdateRequest, done: str, output: str
) -> None:
    def begin(channel: Any) -> str:
        answer = stub(channel).BeginUpdate(request, timeout=CALL_SECONDS, metadata=identity())
        return str(answer.lease_uuid.value)

    lease = call(service, begin)
    closing = service_pb2.CommitUpdateRequest(cell_id=request.cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    # Where this fails the lease stays open: its message and `claims leases` tell.
    call(
        service,
        lambda channel: stub(channel).CommitUpdate(closing, timeout=CALL_SECONDS, metadata=identity()),
    )
    names = [name_of(record) for record in (*request.create_records, *request.destroy_records)]
    if output == "json":
        print_json({"done": True, "lease": lease, "claims": names})
        return
    for name in names:
        click.echo(f"{name}: {done}")
