"""What `cellplane claims` changes: claims created and destroyed, leases closed.

Creating and destroying is a begin and its commit; nothing is written past the Topology Service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from cellplane.cli.changes import yes_option
from cellplane.cli.claim_arguments import (
    BUCKET,
    CELL,
    bucket_message,
    check_host,
    leases_of,
    name_of,
    stub,
    subject_of,
)
from cellplane.cli.outcome import Exit, confirm, fail, output_option, print_json, printable
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2

_DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


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
    for value in values:
        check_host(bucket, value)
    records = [messages_pb2.Metadata(bucket=bucket_message(bucket, value), subject=owner) for value in values]
    request = service_pb2.BeginUpdateRequest(cell_id=cell_id, create_records=records)
    _begin_and_commit(service, request, f"claimed by cell {cell_id}", output)


@click.command("destroy")
@CELL
@click.argument("bucket", type=BUCKET)
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@_DRY_RUN
@yes_option
@service_options
@output_option
def destroy_claims(
    cell_id: int,
    bucket: str,
    values: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Give up values that a cell claims: all of them, or none."""
    records = [messages_pb2.Metadata(bucket=bucket_message(bucket, value)) for value in values]
    names = [name_of(record) for record in records]
    if dry_run:
        call(service, lambda channel: _all_owned(channel, cell_id, records))
        if output == "json":
            print_json({"done": False, "claims": names})
            return
        for name in map(printable, names):
            click.echo(f"would: {name}: given up by cell {cell_id}")
        return
    what = names[0] if len(names) == 1 else f"{len(names)} claims"
    confirm(f"Give up {what} of cell {cell_id}? Any cell may claim it then.", yes=yes)
    request = service_pb2.BeginUpdateRequest(cell_id=cell_id, destroy_records=records)
    _begin_and_commit(service, request, f"given up by cell {cell_id}", output)


@click.command("commit")
@CELL
@click.argument("lease")
@_DRY_RUN
@yes_option
@service_options
@output_option
def commit_lease(
    cell_id: int, lease: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Close a lease and keep what it created. For a cell that can't do so any more."""
    request = service_pb2.CommitUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    _close(service, request, "CommitUpdate", "what it created stays", dry_run=dry_run, yes=yes, output=output)


@click.command("rollback")
@CELL
@click.argument("lease")
@_DRY_RUN
@yes_option
@service_options
@output_option
def rollback_lease(
    cell_id: int, lease: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Close a lease and take everything back. For a cell that can't do so any more."""
    request = service_pb2.RollbackUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    words = "all is as it was before"
    _close(service, request, "RollbackUpdate", words, dry_run=dry_run, yes=yes, output=output)


def _close(
    service: ServiceSettings,
    request: service_pb2.CommitUpdateRequest | service_pb2.RollbackUpdateRequest,
    method: str,
    words: str,
    *,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Close a lease. One that is closed already stays so, and that is told."""
    cell_id, lease = request.cell_id, request.lease_uuid.value
    is_open = call(
        service, lambda channel: any(each.uuid.value == lease for each in leases_of(channel, cell_id))
    )
    said = f"Lease {lease} is closed; {words}."
    if not is_open:
        said = f"Cell {cell_id} has no open lease {lease}, or has no more: nothing was to be done."
    if not dry_run:
        confirm(f"Close lease {lease} of cell {cell_id}, so that {words}? It can't be undone.", yes=yes)
        call(
            service,
            lambda channel: getattr(stub(channel), method)(
                request, timeout=CALL_SECONDS, metadata=identity()
            ),
        )
    if output == "json":
        print_json({"done": not dry_run, "lease": lease, "was_open": is_open})
        return
    click.echo(f"would: {said}" if dry_run and is_open else said)


def _all_owned(channel: Any, cell_id: int, records: Iterable[messages_pb2.Metadata]) -> None:
    """See that a cell claims these; the first that it does not claim ends the command."""
    for record in records:
        request = service_pb2.GetRecordRequest(bucket=record.bucket)
        found = stub(channel).GetRecord(request, timeout=CALL_SECONDS, metadata=identity()).record
        if found.cell_id != cell_id:
            fail(
                Exit.REFUSED,
                f"{name_of(record)} can't be destroyed: cell {found.cell_id} claims it, and only the owner "
                "destroys.",
            )


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
    for name in map(printable, names):
        click.echo(f"{name}: {done}")
