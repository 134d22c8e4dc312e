"""How a command changes the topology: it asks what would be done, asks where it hurts, then has it done.

Every change is a call of the Topology Service, which plans it, refuses it or commits it. What is done is what
was shown: if somebody else was faster, the service stops and the command says who changed what. Every command
that writes goes through here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import click
import grpc

from cellplane.cli.outcome import confirm, print_json, warn
from cellplane.cli.ranges import REVISION
from cellplane.cli.reading import read_documents
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity
from cellplane.fleet_report import wave_warning
from cellplane.pushes import EDGE, FROZEN, HELD, frozen_of, held_pushes
from cellplane.wave_record import WAVE, wave_of
from pb.cellplane.topology.v1 import cells_pb2, cells_pb2_grpc, documents_pb2, documents_pb2_grpc

Command = TypeVar("Command", bound=Callable[..., Any])
# Ask for a change over a channel: a dry run or not, and what was shown before.
Ask: TypeAlias = Callable[[grpc.Channel, bool, Sequence[str]], cells_pb2.ChangeResponse]

_SECONDS_A_CHANGE = 0.5

expect_option = click.option(
    "--expect-revision",
    type=REVISION,
    help="Refuse unless the cell is still at this revision (`cells get` shows it).",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def change_options(command: Command) -> Command:
    """Add --reason and --dry-run."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing."),
        click.option("--reason", default="", help="Why; kept with the record."),
    ):
        command = option(command)
    return command


def cells_change(*changes: cells_pb2.CellChange) -> Ask:
    """Ask for changes of cells: all of them in order, or none where one cannot be planned."""

    def ask(channel: grpc.Channel, dry_run: bool, shown: Sequence[str]) -> cells_pb2.ChangeResponse:
        request = cells_pb2.ChangeCellsRequest(changes=changes, dry_run=dry_run, shown=shown)
        stub: Any = cells_pb2_grpc.CellServiceStub(channel)
        seconds = CALL_SECONDS + _SECONDS_A_CHANGE * len(changes)
        answer: cells_pb2.ChangeResponse = stub.ChangeCells(request, timeout=seconds, metadata=identity())
        return answer

    return ask


def document_change(kind: str, name: str, body: Mapping[str, Any] | None, reason: str) -> Ask:
    """Ask for a document to be written whole; without a body, for its end."""

    def ask(channel: grpc.Channel, dry_run: bool, shown: Sequence[str]) -> cells_pb2.ChangeResponse:
        stub: Any = documents_pb2_grpc.DocumentServiceStub(channel)
        about: dict[str, Any] = {
            "kind": kind, "name": name, "reason": reason, "dry_run": dry_run, "shown": shown,
        }  # fmt: skip
        options: dict[str, Any] = {"timeout": CALL_SECONDS, "metadata": identity()}
        answer: cells_pb2.ChangeResponse
        if body is None:
            answer = stub.DeleteDocument(documents_pb2.DeleteDocumentRequest(**about), **options)
        else:
            request = documents_pb2.PutDocumentRequest(**about, body=json.dumps(body, ensure_ascii=False))
            answer = stub.PutDocument(request, **options)
        return answer

    return ask


def commit(
    service: ServiceSettings,
    change: Ask,
    *,
    dry_run: bool,
    yes: bool = True,
    ask: str = "",
    output: str = "table",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Make a change, asking first where `ask` is a question. Ends the command where it does not happen.

    `more` is what the command has to tell beside what the service says.
    """
    more = more or {}
    shown = call(service, lambda channel: change(channel, True, ()))
    if dry_run:
        _show(shown.summary, output, None, more)
        return
    if ask and not yes:
        click.echo("\n".join([*shown.summary, *_lines(more)]), err=True)
    if ask:
        confirm(ask, yes=yes)
    done = call(service, lambda channel: change(channel, False, shown.summary))
    _show(done.summary, output, done.revision, more)
    if frozen := frozen_of(read_documents(service, FROZEN)):
        warn(
            f"PUSHES ARE FROZEN ({frozen}). Nothing of this reaches an Envoy until `cellplane pushes resume`."
        )
    view = read_documents(service, WAVE)
    if (wave := wave_of(view, EDGE)) is not None:
        for warning in wave_warning(wave.body()) or (
            "Changes go out in waves: see `cellplane pushes watch`.",
        ):
            warn(warning)
    for push in held_pushes(read_documents(service, HELD)):
        warn(f"Push {push.id} is held, and nothing newer reaches the fleet: see `cellplane pushes held`.")


def _show(summary: Sequence[str], output: str, revision: int | None, more: Mapping[str, Any]) -> None:
    if output == "json":
        done = {"done": revision is not None, "revision": revision or None, "changes": list(summary)}
        print_json({**done, **more})
        return
    for line in summary:
        click.echo(line if revision is not None else f"would: {line}")
    for line in _lines(more):
        click.echo(line)
    if revision:
        click.echo(f"Committed at revision {revision}.")


def _lines(more: Mapping[str, Any]) -> Iterator[str]:
    for name, value in more.items():
        words = name.replace("_", " ")
        if isinstance(value, list):
            yield from (f"{words}: {each}" for each in value)
        else:
            yield f"{words}: {value}"
