"""GitLab's ClaimService, through a real client."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue

from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2 as wire
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2, uuid_pb2
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, failure
from topology.memory import MemoryStore
from topology.model import CellState
from topology.store import Txn

Bucket, Record, Source = messages_pb2.Bucket, messages_pb2.Record, messages_pb2.Source


def claim(value: str, row: int = 7) -> messages_pb2.Metadata:
    return messages_pb2.Metadata(
        bucket=Bucket(type=Bucket.ROUTES, value=value),
        subject=messages_pb2.Subject(type=messages_pb2.Subject.NAMESPACE, id=42),
        source=Source(type=Source.RAILS_TABLE_ROUTES, rails_primary_key_id=row.to_bytes(8, "big")),
    )


def request(
    cell_id: int, creates: Iterable[str] = (), destroys: Iterable[str] = ()
) -> wire.BeginUpdateRequest:
    return wire.BeginUpdateRequest(
        cell_id=cell_id,
        create_records=[claim(value) for value in creates],
        destroy_records=[claim(value) for value in destroys],
    )


async def begin(
    client: Client, cell_id: int, creates: Iterable[str] = (), destroys: Iterable[str] = ()
) -> str:
    answer = await client.claims.BeginUpdate(request(cell_id, creates, destroys))
    assert answer.cell_id == cell_id
    return answer.lease_uuid.value


async def commit(client: Client, cell_id: int, lease: str) -> None:
    await client.claims.CommitUpdate(
        wire.CommitUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    )


async def rollback(client: Client, cell_id: int, lease: str) -> None:
    await client.claims.RollbackUpdate(
        wire.RollbackUpdateRequest(cell_id=cell_id, lease_uuid=uuid_pb2.UUID(value=lease))
    )


async def record_of(client: Client, value: str) -> messages_pb2.Record:
    bucket = Bucket(type=Bucket.ROUTES, value=value)
    return (await client.claims.GetRecord(wire.GetRecordRequest(bucket=bucket))).record


async def test_begin_commit_and_what_is_on_record(client: Client) -> None:
    lease = await begin(client, 2, ["acme"])
    found = await record_of(client, "acme")
    assert (found.cell_id, found.status, found.lease_uuid.value) == (2, Record.LEASE_CREATING, lease)
    assert found.metadata == claim("acme")
    await commit(client, 2, lease)
    found = await record_of(client, "acme")
    assert found.status == Record.ACTIVE
    assert not found.HasField("lease_uuid")


async def test_rollback(client: Client) -> None:
    lease = await begin(client, 2, ["acme"])
    await rollback(client, 2, lease)
    assert (await failure(record_of(client, "acme"))).code is grpc.StatusCode.NOT_FOUND


async def test_closing_again_is_harmless(client: Client) -> None:
    lease = await begin(client, 2, ["acme"])
    for close in (commit, commit, rollback):
        await close(client, 2, lease)
    found = await record_of(client, "acme")
    assert found.status == Record.ACTIVE


async def test_a_record_comes_with_its_cell_and_can_be_named_by_a_claim(client: Client) -> None:
    await begin(client, 2, ["acme"])
    answer = await client.claims.GetRecord(wire.GetRecordRequest(claim=claim_pb2.Claim(route="acme")))
    assert (answer.record.cell_id, answer.cell_info.session_prefix) == (2, "two")
    for odd in (wire.GetRecordRequest(), wire.GetRecordRequest(bucket=Bucket(type=Bucket.ROUTES))):
        assert (await failure(client.claims.GetRecord(odd))).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_name_that_is_taken(client: Client) -> None:
    await commit(client, 2, await begin(client, 2, ["acme"]))
    refused = await failure(client.claims.BeginUpdate(request(1, ["free", "acme"])))
    assert (refused.code, refused.words) == (
        grpc.StatusCode.ALREADY_EXISTS,
        'ROUTES "acme" is already claimed by cell 2',
    )
    assert (refused.info.reason, refused.retry) == ("CLAIM_TAKEN", False)


async def test_a_name_that_is_leased(client: Client) -> None:
    await begin(client, 2, ["acme"])
    refused = await failure(client.claims.BeginUpdate(request(1, ["acme"])))
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (refused.info.reason, refused.retry) == ("CLAIM_LEASED", True)


async def test_only_the_owner_destroys(client: Client) -> None:
    await commit(client, 2, await begin(client, 2, ["acme"]))
    refused = await failure(client.claims.BeginUpdate(request(1, (), ["acme", "none"])))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CLAIM_NOT_OWNED")


async def test_a_batch_that_cannot_be_right(client: Client) -> None:
    refused = await failure(client.claims.BeginUpdate(request(1, ["a", "b"], ["b"])))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_INVALID")
    assert set(refused.fields) == {"destroy_records"}
    many = request(1, (f"n{number}" for number in range(1001)))
    refused = await failure(client.claims.BeginUpdate(many))
    assert refused.words == "create_records: 1001 records are in the batch: send 1 to 1000"


async def test_a_thousand_at_once(stage: Stage, client: Client) -> None:
    names = [f"n{number}" for number in range(1000)]
    lease = await begin(client, 2, names)
    await commit(client, 2, lease)
    await stage.caught_up()
    assert len(stage.follower.index) == 1000


async def test_a_cell_that_is_not_there_or_must_own_nothing(stage: Stage, client: Client) -> None:
    await stage.put(cell(4, CellState.DRAINED))
    unknown = await failure(client.claims.BeginUpdate(request(9, ["a"])))
    assert (unknown.code, unknown.words) == (grpc.StatusCode.FAILED_PRECONDITION, "there is no cell 9")
    drained = await failure(client.claims.BeginUpdate(request(4, ["a"])))
    assert drained.words == "cell 4 is DRAINED and can't claim anything new"


async def test_another_cells_lease(client: Client) -> None:
    lease = await begin(client, 2, ["acme"])
    closing = wire.CommitUpdateRequest(cell_id=1, lease_uuid=uuid_pb2.UUID(value=lease))
    refused = await failure(client.claims.CommitUpdate(closing))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LEASE_NOT_OWNED")
    nonsense = wire.RollbackUpdateRequest(cell_id=1, lease_uuid=uuid_pb2.UUID(value="nonsense"))
    assert (await failure(client.claims.RollbackUpdate(nonsense))).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_leases_are_listed_in_pages(stage: Stage, client: Client) -> None:
    leases = [await begin(client, 2, [f"n{number}"]) for number in range(5)]
    await begin(client, 1, ["other"])
    await stage.caught_up()
    seen: list[str] = []
    page = await client.claims.ListLeases(wire.ListLeasesRequest(cell_id=2, limit=2))
    seen += [each.uuid.value for each in page.leases]
    while page.HasField("next"):
        page = await client.claims.ListLeases(wire.ListLeasesRequest(cell_id=2, limit=2, next=page.next))
        seen += [each.uuid.value for each in page.leases]
    assert sorted(seen) == sorted(leases)
    whole = await client.claims.ListLeases(wire.ListLeasesRequest(cell_id=2))
    assert [each.uuid.value for each in whole.leases] == seen
    last = whole.leases[-1].created_at
    late = await client.claims.ListLeases(wire.ListLeasesRequest(cell_id=2, created_after=last))
    assert not late.leases


@pytest.mark.parametrize(
    "odd",
    [
        wire.ListLeasesRequest(cell_id=2, limit=0),
        wire.ListLeasesRequest(cell_id=2, next=AnyMessage(type_url="x/y")),
    ],
)
async def test_a_page_that_cannot_be(client: Client, odd: wire.ListLeasesRequest) -> None:
    assert (await failure(client.claims.ListLeases(odd))).code is grpc.StatusCode.INVALID_ARGUMENT
    other = AnyMessage()
    other.Pack(StringValue(value="yesterday"))
    refused = await failure(client.claims.ListLeases(wire.ListLeasesRequest(cell_id=2, next=other)))
    assert refused.words == "next: is not what the last page ended with"


async def test_records_are_listed_by_source(stage: Stage, client: Client) -> None:
    rows = {"a": 3, "b": 1, "c": 2}
    begun = await client.claims.BeginUpdate(
        wire.BeginUpdateRequest(cell_id=2, create_records=[claim(name, row) for name, row in rows.items()])
    )
    await commit(client, 2, begun.lease_uuid.value)
    await stage.caught_up()

    async def listed(**narrowed: object) -> list[str]:
        wanted = wire.ListRecordsRequest(cell_id=2, **narrowed)  # type: ignore[arg-type]
        answer = await client.claims.ListRecords(wanted)
        assert not answer.truncated
        return [each.metadata.bucket.value for each in answer.records]

    assert await listed() == ["b", "c", "a"]
    assert await listed(source_type=Source.RAILS_TABLE_ROUTES, source_id_gt=(1).to_bytes(8, "big")) == [
        "c",
        "a",
    ]
    assert await listed(source_id_lte=(2).to_bytes(8, "big")) == ["b", "c"]
    assert await listed(source_type=Source.RAILS_TABLE_USERS) == []
    assert await listed(bucket_types=[Bucket.EMAILS]) == []
    assert await listed(claim_types=[claim_pb2.CLAIM_TYPE_ROUTE], bucket_types=[Bucket.EMAILS]) == [
        "b",
        "c",
        "a",
    ]


async def test_long_listings_say_that_there_is_more(stage: Stage, client: Client) -> None:
    """As GitLab's verification reads: after the last id of a page, until nothing is truncated."""
    for part in range(3):
        rows = range(part * 500, part * 500 + 500)
        created = [claim(f"n{row}", row) for row in rows]
        begun = await client.claims.BeginUpdate(wire.BeginUpdateRequest(cell_id=2, create_records=created))
        await commit(client, 2, begun.lease_uuid.value)
    await stage.caught_up()
    seen: list[str] = []
    after, pages = b"", 0
    while True:
        answer = await client.claims.ListRecords(wire.ListRecordsRequest(cell_id=2, source_id_gt=after))
        seen += [each.metadata.bucket.value for each in answer.records]
        pages += 1
        if not answer.truncated:
            break
        after = answer.records[-1].metadata.source.rails_primary_key_id
    assert seen == [f"n{row}" for row in range(1500)]
    assert pages == 2


async def test_a_record_that_cannot_be_read(stage: Stage, client: Client) -> None:
    await stage.store.commit(Txn(puts=(("/service-claims/records/ROUTES/acme", b"{}"),)))
    bucket = Bucket(type=Bucket.ROUTES, value="acme")
    refused = await failure(client.claims.GetRecord(wire.GetRecordRequest(bucket=bucket)))
    assert refused.info.reason == "CLAIM_UNREADABLE"


async def test_without_the_store_writes_say_try_again(stage: Stage, client: Client) -> None:
    assert isinstance(stage.store, MemoryStore)
    await stage.store.close()
    refused = await failure(client.claims.BeginUpdate(request(1, ["a"])))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert refused.retry


@pytest.mark.parametrize(
    "odd",
    [
        wire.ListRecordsRequest.FromString(b"\x08\x02\x1a\x01\x0e"),  # bucket type 14
        wire.ListRecordsRequest.FromString(b"\x08\x02\x32\x01\x13"),  # claim type 19
        wire.ListRecordsRequest.FromString(b"\x08\x02\x10\x63"),  # source type 99
    ],
)
async def test_unknown_kinds_are_refused(client: Client, odd: wire.ListRecordsRequest) -> None:
    assert (await failure(client.claims.ListRecords(odd))).code is grpc.StatusCode.INVALID_ARGUMENT
