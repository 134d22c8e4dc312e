"""`cellplane placements`: cells chosen and reserved for newcomers, released, looked up, counted.

Every command is a call of the Topology Service.
"""

from __future__ import annotations

from typing import Any

import click
from google.protobuf import json_format

from cellplane.cli.changes import change_options, yes_option
from cellplane.cli.outcome import confirm, output_option, print_fields, print_json, print_table
from cellplane.cli.ranges import RING
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.cellplane.topology.v1 import placement_pb2, placement_pb2_grpc


@click.group()
def placements() -> None:
    """Placements: which cell a newcomer goes to."""


@placements.command("place")
@click.argument("key")
@click.option("--region", default="", help="Only cells of this region.")
@click.option("--ring", type=RING, help="Only cells of this ring.")
@click.option("--owner", default="", metavar="TYPE/ID", help="Whom it is for: ORGANIZATION/42.")
@change_options
@service_options
@output_option
def place(
    key: str,
    region: str,
    ring: int | None,
    owner: str,
    reason: str,
    dry_run: bool,
    service: ServiceSettings,
    output: str,
) -> None:
    """Choose a cell for a newcomer and reserve its place. The same KEY gets the same answer again."""
    request = placement_pb2.PlaceRequest(
        request_key=key, region=region, ring=ring, owner=owner.upper(), reason=reason, dry_run=dry_run
    )
    answer = call(service, lambda channel: _stub(channel).Place(request, **_options()))
    if output == "json":
        print_json(json_format.MessageToDict(answer, always_print_fields_with_no_presence=True))
        return
    for each in answer.considered:
        click.echo(f"not cell {each.cell_id}: {each.words}", err=True)
    click.echo(f"would: {answer.why}" if dry_run else answer.why)
    if not dry_run:
        again = " (an earlier call did it)" if answer.repeated else ""
        click.echo(f"Reserved for {key} at revision {answer.revision}{again}.")


@placements.command("release")
@click.argument("key")
@click.option("--reason", default="", help="Why; written to the service's log.")
@yes_option
@service_options
def release(key: str, reason: str, yes: bool, service: ServiceSettings) -> None:
    """Free the place of a newcomer. What was claimed for it stays."""
    confirm(f"Release the place of {key}?", yes=yes)
    request = placement_pb2.ReleaseRequest(request_key=key, reason=reason)
    answer = call(service, lambda channel: _stub(channel).Release(request, **_options()))
    told = f"a place in cell {answer.cell_id} is free" if answer.found else "nobody was placed by that key"
    click.echo(f"{key}: {told}.")


@placements.command("get")
@click.argument("key")
@service_options
@output_option
def get(key: str, service: ServiceSettings, output: str) -> None:
    """Show where a newcomer was placed, and why."""
    request = placement_pb2.GetPlacementRequest(request_key=key)
    found = call(service, lambda channel: _stub(channel).GetPlacement(request, **_options()))
    if output == "json":
        print_json(json_format.MessageToDict(found))
        return
    print_fields(
        {
            "key": found.request_key,
            "cell": str(found.cell_id),
            "why": found.why,
            "owner": found.owner or "-",
            "placed": f"{found.updated_at.ToJsonString()} by {found.updated_by}",
            "reason": found.reason or "-",
        }
    )


@placements.command("list")
@service_options
@output_option
def occupancy(service: ServiceSettings, output: str) -> None:
    """Count the newcomers that were placed in each cell and not released."""
    request = placement_pb2.GetOccupancyRequest()
    answer = call(service, lambda channel: _stub(channel).GetOccupancy(request, **_options()))
    if output == "json":
        print_json(json_format.MessageToDict(answer, always_print_fields_with_no_presence=True))
        return
    rows = [(str(each.cell_id), str(each.placed), str(each.capacity or "no limit")) for each in answer.cells]
    print_table(("CELL", "PLACED", "CAPACITY"), rows, empty="There are no cells.")


def _stub(channel: Any) -> Any:
    return placement_pb2_grpc.PlacementServiceStub(channel)


def _options() -> dict[str, Any]:
    return {"timeout": CALL_SECONDS, "metadata": identity()}
