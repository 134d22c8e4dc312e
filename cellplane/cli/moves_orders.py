"""`cellplane moves continue`, `switch-back` and `abort`: what a person says to a move.

Each shows what it would do, asks where it hurts, and is refused where the move is at another step by then.
"""

from __future__ import annotations

from typing import Any

import click
from google.protobuf import json_format

from cellplane.cli.changes import change_options, yes_option
from cellplane.cli.outcome import confirm, output_option, print_json
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.cellplane.topology.v1 import moves_pb2, moves_pb2_grpc


@click.command("continue")
@click.argument("move_id", metavar="ID")
@change_options
@service_options
@output_option
def continue_move(move_id: str, reason: str, dry_run: bool, service: ServiceSettings, output: str) -> None:
    """Go on with a move that waits for a person; one that is tested commits."""
    _order(service, "ContinueMove", move_id, reason, dry_run=dry_run, yes=True, output=output)


@click.command("switch-back")
@click.argument("move_id", metavar="ID")
@change_options
@yes_option
@service_options
@output_option
def switch_back(
    move_id: str, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str
) -> None:
    """Take a move back while it is tested. What the other cell wrote meanwhile is lost."""
    _order(service, "SwitchMoveBack", move_id, reason, dry_run=dry_run, yes=yes, output=output)


@click.command("abort")
@click.argument("move_id", metavar="ID")
@change_options
@yes_option
@service_options
@output_option
def abort(move_id: str, reason: str, dry_run: bool, yes: bool, service: ServiceSettings, output: str) -> None:
    """End a move of which nothing has moved yet."""
    _order(service, "AbortMove", move_id, reason, dry_run=dry_run, yes=yes, output=output)


def _order(
    service: ServiceSettings, method: str, move_id: str, reason: str, *, dry_run: bool, yes: bool, output: str
) -> None:
    request = moves_pb2.MoveOrderRequest(move_id=move_id, reason=reason, dry_run=True)

    def ask(channel: Any) -> moves_pb2.MoveOrderResponse:
        stub: Any = moves_pb2_grpc.MoveServiceStub(channel)
        answer: moves_pb2.MoveOrderResponse
        answer = getattr(stub, method)(request, timeout=CALL_SECONDS, metadata=identity())
        return answer

    told = call(service, ask)
    if not dry_run:
        if not yes:
            click.echo("\n".join(told.summary), err=True)
        confirm("Do it?", yes=yes)
        request.dry_run, request.move_id, request.expected_step = False, told.move.id, told.move.step
        told = call(service, ask)
    if output == "json":
        print_json({"done": not dry_run, **json_format.MessageToDict(told)})
        return
    for line in told.summary:
        click.echo(f"would: {line}" if dry_run else line)
    if not dry_run:
        click.echo(f"Said; see `cellplane moves watch {told.move.id[:8]}`.")
