"""`cellplane claims`: look up, list and classify claims. What changes them is in `claims_change`.

Every command is a call of the Topology Service.
"""

from __future__ import annotations

from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.message import Message

from cellplane.cli.claim_arguments import BUCKET, CELL, bucket_message, key_of, leases_of, name_of, stub
from cellplane.cli.claims_change import commit_lease, create_claims, destroy_claims, rollback_lease
from cellplane.cli.claims_transfer import show_owner, transfer_owners
from cellplane.cli.outcome import output_option, print_fields, print_json, print_table
from cellplane.cli.service import CALL_SECONDS, ServiceSettings, call, identity, service_options
from pb.gitlab.cells.topology_service import classify_service_pb2, classify_service_pb2_grpc
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2, service_pb2
from topology.claims.model import SourceType
from topology.service.claim_wire import claim_of_bucket


@click.group()
def claims() -> None:
    """Claims: who owns a name, an id, a key; and the leases that hold some of them."""


@claims.command("get")
@click.argument("bucket", type=BUCKET)
@click.argument("value")
@service_options
@output_option
def get_claim(bucket: str, value: str, service: ServiceSettings, output: str) -> None:
    """Show one claim: its owner, its state, and what it is claimed for."""
    request = service_pb2.GetRecordRequest(bucket=bucket_message(bucket, value))
    answer = call(
        service, lambda channel: stub(channel).GetRecord(request, timeout=CALL_SECONDS, metadata=identity())
    )
    if output == "json":
        print_json(_json(answer.record))
        return
    record, metadata = answer.record, answer.record.metadata
    print_fields(
        {
            "claim": f"{bucket.upper()} {value}",
            "cell": f"{record.cell_id}" + (f" at {answer.cell_info.address}" if answer.cell_info.id else ""),
            "status": messages_pb2.Record.Status.Name(record.status),
            "lease": record.lease_uuid.value or "-",
            "subject": f"{messages_pb2.Subject.Type.Name(metadata.subject.type)} {metadata.subject.id}"
            if metadata.subject.type
            else "-",
            "source": f"{messages_pb2.Source.Type.Name(metadata.source.type)} "
            f"{metadata.source.rails_primary_key_id.hex() or '-'}"
            if metadata.source.type
            else "-",
            "created": record.created_at.ToJsonString(),
            "updated": record.updated_at.ToJsonString(),
        }
    )


@claims.command("list")
@CELL
@click.option("--bucket", "buckets", type=BUCKET, multiple=True, help="Only these; repeatable.")
@click.option(
    "--source", type=click.Choice([kind.name for kind in SourceType][1:]), help="Only of this table."
)
@service_options
@output_option
def list_claims(
    cell_id: int, buckets: tuple[str, ...], source: str | None, service: ServiceSettings, output: str
) -> None:
    """List a cell's claims, in the order of their rows."""

    def work(channel: Any) -> list[messages_pb2.Record]:
        records: list[messages_pb2.Record] = []
        request = service_pb2.ListRecordsRequest(
            cell_id=cell_id, bucket_types=[messages_pb2.Bucket.Type.Value(name.upper()) for name in buckets]
        )
        if source:
            request.source_type = messages_pb2.Source.Type.Value(source)
        while True:
            page = stub(channel).ListRecords(request, timeout=CALL_SECONDS, metadata=identity())
            records += page.records
            if not page.truncated:
                return records
            request.source_id_gt = page.records[-1].metadata.source.rails_primary_key_id

    records = call(service, work)
    if output == "json":
        print_json([_json(record) for record in records])
        return
    rows = [
        (
            name_of(record.metadata),
            messages_pb2.Record.Status.Name(record.status),
            record.lease_uuid.value or "-",
            record.updated_at.ToJsonString(),
        )
        for record in records
    ]
    print_table(("CLAIM", "STATUS", "LEASE", "UPDATED AT"), rows, empty=f"Cell {cell_id} claims nothing.")


@claims.command("leases")
@CELL
@service_options
@output_option
def list_leases(cell_id: int, service: ServiceSettings, output: str) -> None:
    """List a cell's open leases, the oldest first. Nothing ever closes them but `commit` and `rollback`."""
    leases = call(service, lambda channel: leases_of(channel, cell_id))
    if output == "json":
        print_json([_json(lease) for lease in leases])
        return
    rows = [(lease.uuid.value, lease.created_at.ToJsonString()) for lease in leases]
    print_table(("LEASE", "OPEN SINCE"), rows, empty=f"Cell {cell_id} has no open lease.")


@claims.command("classify")
@click.argument("keys", nargs=-1, required=True, metavar="BUCKET=VALUE...")
@service_options
@output_option
def classify_claims(keys: tuple[str, ...], service: ServiceSettings, output: str) -> None:
    """Ask where a request with these claims goes; the first that somebody owns decides."""
    request = classify_service_pb2.ClassifyRequest(claims=[claim_of_bucket(key_of(text)) for text in keys])
    answer = call(
        service,
        lambda channel: classify_service_pb2_grpc.ClassifyServiceStub(channel).Classify(
            request, timeout=CALL_SECONDS, metadata=identity()
        ),
    )
    if output == "json":
        print_json({"address": answer.proxy.address})
    else:
        click.echo(answer.proxy.address)


def _json(message: Message) -> Any:
    return json_format.MessageToDict(message)


for command in (create_claims, destroy_claims, commit_lease, rollback_lease, show_owner, transfer_owners):
    claims.add_command(command)
