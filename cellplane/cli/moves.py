"""`cellplane moves`: owners moved to another cell with their data: begun, listed, shown, watched.

Every command is a call of the Topology Service, which carries moves on by itself. Orders are in
`moves_orders`.
"""

from __future__ import annotations

import uuid
from typing import Any

import click
import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

from cellplane.cell_input import InputError, seconds
from cellplane.cli.changes import change_options, yes_option
from cellplane.cli.moves_orders import abort, continue_move, switch_back
from cellplane.cli.moves_report import COLUMNS, MAY_DROP, entry_line, move_fields, move_row, plan_lines
from cellplane.cli.outcome import (
    Exit,
    confirm,
    fail,
    output_option,
    print_fields,
    print_json,
    print_table,
    warn,
)
from cellplane.cli.ranges import CELL_ID, REVISION
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.cellplane.topology.v1 import moves_pb2, moves_pb2_grpc, transfer_pb2, transfer_pb2_grpc


@click.group()
def moves() -> None:
    """Move owners to another cell with their data, step by step."""


moves.add_command(continue_move)
moves.add_command(switch_back)
moves.add_command(abort)


@moves.command("start")
@click.argument("owners", nargs=-1, required=True, metavar="OWNER...")
@click.option("--to", "to_cell", type=CELL_ID, required=True, help="The cell that they go to.")
@click.option("--from", "from_cell", type=CELL_ID, help="The cell that they are in; looked up if not given.")
@click.option(
    "--expected-epoch",
    type=REVISION,
    help="Refuse unless they are at this epoch; looked up if not given.",
)
@click.option(
    "--test-window",
    metavar="DURATION",
    help="Commit by itself when the test has lasted so long; without it, `moves continue` commits.",
)
@click.option(
    "--ask-before",
    type=click.Choice(["freeze", "transfer"]),
    multiple=True,
    help="Wait for `moves continue` before this step.",
)
@click.option("--force", is_flag=True, help="Also to a cell whose state takes no newcomers, or that is full.")
@click.option("--request-id", help="A UUID; with the one of an earlier call nothing is begun twice.")
@change_options
@yes_option
@service_options
@output_option
def start(
    owners: tuple[str, ...],
    to_cell: int,
    from_cell: int | None,
    expected_epoch: int | None,
    test_window: str | None,
    ask_before: tuple[str, ...],
    force: bool,
    request_id: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Begin to move owners: what is claimed for them, and with the application's help their data.

    \b
    Prepare, freeze, drain, transfer, propagate, test, commit; `moves watch` shows how far it is.
    Up to the transfer `moves abort` ends it; while it is tested `moves switch-back` takes it back.

    \b
      cellplane moves start ORGANIZATION/42 --to 3 --dry-run
      cellplane moves start ORGANIZATION/42 --to 3 --test-window 15m --reason "room"
    """  # noqa: D301  click wants the character itself
    names = tuple(owner.upper() for owner in owners)
    known = [_owner(service, name, from_cell, expected_epoch) for name in names]
    request = moves_pb2.StartMoveRequest(
        request_id=request_id or str(uuid.uuid4()),
        owners=[
            transfer_pb2.OwnerAtEpoch(owner=name, expected_epoch=epoch)
            for name, (_, epoch) in zip(names, known, strict=True)
        ],
        from_cell=known[0][0],
        to_cell=to_cell,
        reason=reason,
        force=force,
        ask_before=[moves_pb2.MoveStep.Value(f"MOVE_STEP_{step.upper()}") for step in ask_before],
        dry_run=True,
    )
    if test_window is not None:
        try:
            request.test_window.CopyFrom(Duration(seconds=seconds(test_window)))
        except InputError as error:
            fail(Exit.USAGE, f"--test-window: {error}")
    planned: moves_pb2.StartMoveResponse
    planned = call(service, lambda channel: _stub(channel).StartMove(request, **_options()))
    if planned.repeated:
        dry_run = False  # nothing is to be asked: it has begun
    elif not dry_run:
        if not yes:
            click.echo("\n".join(plan_lines(planned)), err=True)
        confirm(f"Move {', '.join(names)} to cell {to_cell}?", yes=yes)
        request.dry_run = False
        planned = call(service, lambda channel: _stub(channel).StartMove(request, **_options()))
    if output == "json":
        print_json({"begun": not dry_run, **_json(planned)})
        return
    click.echo("\n".join(f"would: {line}" if dry_run else line for line in plan_lines(planned)))
    if not dry_run:
        again = " (an earlier call began it)" if planned.repeated else ""
        click.echo(f"Begun{again}; see `cellplane moves watch {planned.move.id[:8]}`.")


@moves.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@click.option("--owner", default="", metavar="TYPE/ID", help="Only moves of this owner.")
@service_options
@output_option
def list_moves(everything: bool, owner: str, service: ServiceSettings, output: str) -> None:
    """List moves, the newest first."""
    request = moves_pb2.ListMovesRequest(all=everything, owner=owner.upper())
    found: moves_pb2.ListMovesResponse
    found = call(service, lambda channel: _stub(channel).ListMoves(request, **_options()))
    if output == "json":
        print_json(_json(found))
        return
    empty = "There is no move." if everything else "Nothing moves; `--all` shows moves that have ended."
    print_table(COLUMNS, [move_row(move) for move in found.moves], empty=empty, may_drop=MAY_DROP)
    if found.moves and not found.leader:
        warn("Nobody carries moves on at the moment: no Topology Service leads.")


@moves.command("show")
@click.argument("move_id", metavar="ID")
@service_options
@output_option
def show(move_id: str, service: ServiceSettings, output: str) -> None:
    """Show a move in full, with everything that happened to it. ID may be the beginning of one."""
    request = moves_pb2.GetMoveRequest(move_id=move_id)
    move: moves_pb2.Move = call(service, lambda channel: _stub(channel).GetMove(request, **_options())).move
    if output == "json":
        print_json(_json(move))
        return
    print_fields(move_fields(move))
    for entry in move.history:
        click.echo(entry_line(entry))


@moves.command("watch")
@click.argument("move_id", metavar="ID")
@service_options
def watch(move_id: str, service: ServiceSettings) -> None:
    """Follow a move until it ends; the exit code is 0 if it committed. ID may be the beginning of one."""
    last = call(service, lambda channel: _followed(channel, move_id))
    if last.step != moves_pb2.MOVE_STEP_COMMITTED:
        raise click.exceptions.Exit(int(Exit.FAILED))


def _followed(channel: grpc.Channel, move_id: str) -> moves_pb2.Move:
    told, waiting, move = 0, "", moves_pb2.Move()
    request = moves_pb2.WatchMoveRequest(move_id=move_id)
    for response in _stub(channel).WatchMove(request, metadata=identity()):
        move = response.move
        for entry in move.history[told:]:
            click.echo(entry_line(entry))
        told = len(move.history)
        if move.waiting and move.waiting != waiting and not move.blocked:
            click.echo(f"          waits: {move.waiting}")
        waiting = move.waiting
    return move


def _owner(service: ServiceSettings, name: str, from_cell: int | None, epoch: int | None) -> tuple[int, int]:
    """Say in which cell, and at which epoch, an owner is, where that was not said."""
    if from_cell is not None and epoch is not None:
        return from_cell, epoch
    request = transfer_pb2.GetOwnerRequest(owner=name)

    def ask(channel: Any) -> transfer_pb2.GetOwnerResponse:
        stub: Any = transfer_pb2_grpc.TransferServiceStub(channel)
        answer: transfer_pb2.GetOwnerResponse = stub.GetOwner(request, **_options())
        return answer

    found = call(service, ask)
    if from_cell is None and len(found.cells) != 1:
        cells = ", ".join(map(str, found.cells))
        fail(Exit.REFUSED, f"{name} has claims in the cells {cells}: have all but one destroy theirs.")
    return from_cell or found.cells[0], epoch or found.epoch


def _json(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def _stub(channel: Any) -> Any:
    return moves_pb2_grpc.MoveServiceStub(channel)


def _options() -> dict[str, Any]:
    return {"timeout": CALL_SECONDS, "metadata": identity()}
