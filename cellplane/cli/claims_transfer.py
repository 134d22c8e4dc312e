"""`cellplane claims owner` and `cellplane claims transfer`: where an owner is, and moving it.

Every command is a call of the Topology Service; a transfer is shown, asked about, and sent with an id of its
own, so that sending it again does nothing twice.
"""

from __future__ import annotations

import uuid
from typing import Any

import click
from google.protobuf import json_format

from cellplane.cli.changes import yes_option
from cellplane.cli.outcome import confirm, output_option, print_fields, print_json
from cellplane.cli.ranges import CELL_ID, REVISION
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.cellplane.topology.v1 import transfer_pb2, transfer_pb2_grpc

_TRANSFER_SECONDS = 120.0  # a hundred thousand claims are rewritten


@click.command("owner")
@click.argument("owner")
@service_options
@output_option
def show_owner(owner: str, service: ServiceSettings, output: str) -> None:
    """Show where an owner is, at which epoch, and what is claimed for it.

    OWNER is the subject of claims, for example ORGANIZATION/42.
    """
    request = transfer_pb2.GetOwnerRequest(owner=owner.upper())
    found = call(service, lambda channel: _stub(channel).GetOwner(request, **_options(CALL_SECONDS)))
    if output == "json":
        print_json(json_format.MessageToDict(found))
        return
    print_fields(
        {
            "owner": found.owner,
            "cell": ", ".join(map(str, found.cells)),
            "epoch": str(found.epoch),
            "claims": str(found.records),
            "open leases": ", ".join(found.leases) or "-",
            "transfer": found.transfer or "-",
            "moved": f"{found.updated_at.ToJsonString()} by {found.updated_by}"
            if found.updated_by
            else "never",
            "reason": found.reason or "-",
        }
    )


@click.command("transfer")
@click.argument("owners", nargs=-1, required=True, metavar="OWNER...")
@click.option("--from", "from_cell", type=CELL_ID, required=True, help="The cell that they are in.")
@click.option("--to", "to_cell", type=CELL_ID, required=True, help="The cell that they go to.")
@click.option(
    "--expected-epoch",
    type=REVISION,
    required=True,
    help="Refuse unless they are at this epoch (`claims owner` shows it).",
)
@click.option("--force", is_flag=True, help="Also to a cell whose state takes no newcomers, or that is full.")
@click.option("--request-id", help="A UUID; with the one of an earlier call nothing is done twice.")
@click.option("--reason", default="", help="Why; kept with the record.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and move nothing.")
@yes_option
@service_options
@output_option
def transfer_owners(
    owners: tuple[str, ...],
    from_cell: int,
    to_cell: int,
    expected_epoch: int,
    force: bool,
    request_id: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Move everything that is claimed for owners from one cell to another: all of it, or nothing.

    \b
    It moves what routes, not what is in the cell's database: see `docs/topology-api.md`.
    Refused while one of their claims is held by an open lease.

    \b
      cellplane claims owner ORGANIZATION/42
      cellplane claims transfer ORGANIZATION/42 --from 1 --to 3 --expected-epoch 1
    """  # noqa: D301  click wants the character itself
    request = transfer_pb2.TransferRequest(
        request_id=request_id or str(uuid.uuid4()),
        owners=[
            transfer_pb2.OwnerAtEpoch(owner=owner.upper(), expected_epoch=expected_epoch) for owner in owners
        ],
        from_cell=from_cell,
        to_cell=to_cell,
        reason=reason,
        force=force,
        dry_run=True,
    )

    def ask(channel: Any) -> transfer_pb2.TransferResponse:
        answer: transfer_pb2.TransferResponse
        answer = _stub(channel).Transfer(request, **_options(_TRANSFER_SECONDS))
        return answer

    shown = call(service, ask)
    if not dry_run:
        if not yes:
            click.echo("\n".join(shown.summary), err=True)
            confirm(f"Move {', '.join(owner.upper() for owner in owners)} to cell {to_cell}?", yes=yes)
        request.dry_run = False
        shown = call(service, ask)
    if output == "json":
        done = {"done": not dry_run, "request_id": request.request_id, "cursor": shown.cursor or None}
        print_json(
            {**done, "records": shown.records, "repeated": shown.repeated, "changes": [*shown.summary]}
        )
        return
    for line in shown.summary:
        click.echo(f"would: {line}" if dry_run else line)
    if not dry_run:
        again = " (an earlier call did it)" if shown.repeated else ""
        click.echo(f"Moved at cursor {shown.cursor}{again}, by request {request.request_id}.")


def _stub(channel: Any) -> Any:
    return transfer_pb2_grpc.TransferServiceStub(channel)


def _options(seconds: float) -> dict[str, Any]:
    return {"timeout": seconds, "metadata": identity()}
