"""The gate: access rules by certificate, request ids, errors, counts."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from cellplane.log import name_request
from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service import (
    cell_info_pb2,
    cell_service_pb2,
    classify_service_pb2,
    health_service_pb2,
)
from pb.gitlab.cells.topology_service.claims.v1 import messages_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2 as claims_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from tests.topology.claims.samples import LEASE_1
from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, drained, failure, playing
from tests.topology.service.test_claim_service import begin, commit, request
from topology.errors import StoreRefused
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.service.gate import rules_of
from topology.service.identity import Names
from topology.service.server import FILES

LEASE = uuid_pb2.UUID(value=LEASE_1)
CALLERS = ("CELL-2", "CELL-1", "ROUTER-eu", "ADMIN-ada", "eve")


def calls(client: Client) -> dict[str, Any]:
    """One call of every method that a rule guards, for cell 2 where it is for a cell."""
    bucket = messages_pb2.Bucket(type=messages_pb2.Bucket.ROUTES, value="acme")
    return {
        "Classify.GetCells": client.classify.GetCells(cell_info_pb2.GetCellsRequest()),
        "Classify": client.classify.Classify(
            classify_service_pb2.ClassifyRequest(type=classify_service_pb2.FIRST_CELL)
        ),
        "GetCell": client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=2)),
        "Claims.GetCells": client.claims.GetCells(cell_info_pb2.GetCellsRequest()),
        "GetRecord": client.claims.GetRecord(claims_pb2.GetRecordRequest(bucket=bucket)),
        "BeginUpdate": client.claims.BeginUpdate(request(2, ["x"])),
        "CommitUpdate": client.claims.CommitUpdate(
            claims_pb2.CommitUpdateRequest(cell_id=2, lease_uuid=LEASE)
        ),
        "RollbackUpdate": client.claims.RollbackUpdate(
            claims_pb2.RollbackUpdateRequest(cell_id=2, lease_uuid=LEASE)
        ),
        "ListLeases": client.claims.ListLeases(claims_pb2.ListLeasesRequest(cell_id=2)),
        "ListRecords": client.claims.ListRecords(claims_pb2.ListRecordsRequest(cell_id=2)),
        "ListCells": client.cells.ListCells(cells_pb2.ListCellsRequest()),
        "DeleteCells": client.cells.DeleteCells(cells_pb2.DeleteCellsRequest(ids=[1], dry_run=True)),
        "SetCellWeight": client.cells.SetCellWeight(cells_pb2.SetCellWeightRequest(id=9)),
    }


ANY = set(CALLERS)
CELL_OR_ADMIN = {"CELL-2", "ADMIN-ada"}
ALLOWED = {
    "Classify.GetCells": ANY,
    "Classify": ANY - {"eve"},
    "GetCell": ANY,
    "Claims.GetCells": ANY,
    "GetRecord": {"ADMIN-ada"},
    "BeginUpdate": CELL_OR_ADMIN,
    "CommitUpdate": CELL_OR_ADMIN,
    "RollbackUpdate": CELL_OR_ADMIN,
    "ListLeases": CELL_OR_ADMIN,
    "ListRecords": CELL_OR_ADMIN,
    "ListCells": ANY,
    "DeleteCells": {"ADMIN-ada"},
    "SetCellWeight": {"ADMIN-ada"},
}


async def denied(call: Any) -> bool:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.PERMISSION_DENIED
    return False


async def test_every_method_lets_in_whom_its_rules_name(guarded: Stage) -> None:
    let_in: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for caller in CALLERS:
        for name, call in calls(guarded.client(caller)).items():
            if not await denied(call):
                let_in[name].add(caller)
    assert let_in == ALLOWED


async def test_a_refusal_says_who_and_what_and_is_counted(guarded: Stage) -> None:
    refused = await failure(guarded.client("CELL-1").claims.BeginUpdate(request(2, ["x"])))
    method = "/gitlab.cells.topology_service.claims.v1.ClaimService/BeginUpdate"
    assert refused.words == f"'CELL-1' (cell) may not call {method} for cell 2"
    assert refused.info.reason == "ACCESS_DENIED"
    assert guarded.server.counts.refused == {(method, "cell"): 1}
    assert guarded.server.counts.calls == {(method, "PERMISSION_DENIED"): 1}
    nameless = await failure(guarded.client("").claims.BeginUpdate(request(2, ["x"])))
    assert nameless.words.startswith("'a certificate without a single common name' (unknown)")


async def test_a_stream_passes_the_gate_too(guarded: Stage) -> None:
    call: Any = guarded.client("eve").cells.Watch(cells_pb2.WatchCellsRequest(after_revision=10**12))
    assert (await failure(drained(call))).code is grpc.StatusCode.OUT_OF_RANGE
    assert guarded.server.counts.calls == {("/cellplane.topology.v1.CellService/Watch", "OUT_OF_RANGE"): 1}


async def test_without_a_certificate_there_is_no_connection(guarded: Stage) -> None:
    assert guarded.authority is not None
    credentials = grpc.ssl_channel_credentials(guarded.authority.cert_pem.bytes())
    async with grpc.aio.secure_channel(f"localhost:{guarded.port}", credentials) as channel:
        refused = await failure(Client(channel).classify.GetCells(cell_info_pb2.GetCellsRequest()))
    assert refused.code is grpc.StatusCode.UNAVAILABLE


async def test_identity_is_never_taken_from_a_header(guarded: Stage) -> None:
    forged = [
        ("x-cellplane-user", "ADMIN"),
        ("x-client-cert-subject-dn", "MBAxDjAMBgNVBAMMBUFETUlO"),
        ("x-client-runway-cc-subject-dn", "MBAxDjAMBgNVBAMMBUFETUlO"),
    ]
    call = guarded.client("eve").claims.BeginUpdate(request(2, ["x"]), metadata=forged)
    assert (await failure(call)).code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_trusted_proxy_says_who_its_client_is_and_nobody_else_does() -> None:
    cells = (cell(1), cell(2))
    names = Names(proxies=frozenset({"edge-proxy"}))
    async with playing(MemoryStore(), Keyspace("/s"), cells, verified=True, names=names) as stage:
        proxy, other = stage.client("edge-proxy"), stage.client("router-proxy")

        async def begun(client: Client, name: str, *forwarded: tuple[str, str]) -> Any:
            return await client.claims.BeginUpdate(request(2, [name]), metadata=forwarded)

        envoys = ("x-forwarded-client-cert", 'Hash=1;Subject="O=x,CN=CELL-2"')
        admin = ("x-client-cert-subject-dn", "MBAxDjAMBgNVBAMMBUFETUlO")
        await begun(proxy, "a", envoys)
        await begun(proxy, "b", admin)
        cell_1 = ("x-forwarded-client-cert", 'Subject="CN=CELL-1"')
        for forwarded in (
            (),
            (cell_1,),
            (envoys, admin),
            (("x-forwarded-client-cert", 'Subject="CN=edge-proxy"'),),
        ):
            assert (await failure(begun(proxy, "c", *forwarded))).code is grpc.StatusCode.PERMISSION_DENIED
        assert (await failure(begun(other, "c", admin))).code is grpc.StatusCode.PERMISSION_DENIED
        # Not even what is open to everybody who shows a certificate.
        nobody = await failure(proxy.cells.ListCells(cells_pb2.ListCellsRequest()))
        assert (nobody.code, nobody.info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")
        assert "'a client of edge-proxy' (nobody)" in nobody.words
        records = (await stage.store.list("/s-claims/records/")).records
        assert [b'"updated_by": "CELL-2"' in each.value for each in records] == [True, False]


async def test_who_did_it_is_kept_with_the_record(guarded: Stage) -> None:
    cell = guarded.client("CELL-2")
    await commit(cell, 2, await begin(cell, 2, ["acme"]))
    (record,) = (await guarded.store.list("/service-claims/records/")).records
    assert b'"updated_by": "CELL-2"' in record.value


async def test_where_nobody_is_verified_the_user_is_as_said(stage: Stage) -> None:
    said = [("x-cellplane-user", "ada")]
    await stage.client().claims.BeginUpdate(request(2, ["acme"]), metadata=said)
    await stage.client().claims.BeginUpdate(request(2, ["acme2"]))
    in_utf_8: Any = [("x-cellplane-user-bin", "Åsa".encode())]
    await stage.client().claims.BeginUpdate(request(2, ["acme3"]), metadata=in_utf_8)
    forged: Any = [
        ("x-cellplane-user-bin", b"ada\nINFO topology.audit by=eve")
    ]  # it would be a line of its own
    await stage.client().claims.BeginUpdate(request(2, ["acme4"]), metadata=forged)
    first, second, third, fourth = (await stage.store.list("/service-claims/records/")).records
    assert b'"updated_by": "ipv' in fourth.value
    assert b'"updated_by": "ada"' in first.value
    assert b'"updated_by": "ipv' in second.value
    assert '"updated_by": "Åsa"' in third.value.decode()


async def trailers(call: Any) -> dict[str, Any]:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return dict(error.trailing_metadata() or ())
    return dict(await call.trailing_metadata())


@pytest.mark.parametrize("cell_id", [2, 9], ids=["answered", "failed"])
async def test_a_request_id_comes_back(client: Client, cell_id: int) -> None:
    wanted = cell_service_pb2.GetCellRequest(cell_id=cell_id)
    given = await trailers(client.cell.GetCell(wanted, metadata=[("x-request-id", "r-1")]))
    assert given["x-request-id"] == "r-1"


async def test_a_failure_has_a_request_id_of_its_own(client: Client) -> None:
    wanted = cell_service_pb2.GetCellRequest(cell_id=9)
    for odd in ([], [("x-request-id", "a b")]):
        made = await trailers(client.cell.GetCell(wanted, metadata=odd))
        assert len(made["x-request-id"]) == 36


async def test_calls_are_counted_by_method_and_code(stage: Stage, client: Client) -> None:
    await client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=2))
    await failure(client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=9)))
    await client.health.LivenessProbe(health_service_pb2.LivenessProbeRequest())
    method = "/gitlab.cells.topology_service.CellService/GetCell"
    assert stage.server.counts.calls == {(method, "OK"): 1, (method, "NOT_FOUND"): 1}


async def test_a_bug_of_ours_tells_nothing_but_where_it_is_logged(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    caplog.handler.addFilter(name_request)
    monkeypatch.setattr("topology.service.routing_services.cell_info", broken)
    call = client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=2), metadata=[("x-request-id", "r-1")])
    failed = await failure(call)
    assert (failed.code, failed.words) == (
        grpc.StatusCode.INTERNAL,
        "an error of ours; it is logged with request r-1",
    )
    assert [record.__dict__["request"] for record in caplog.records] == [" request=r-1"]
    assert "ZeroDivisionError" in caplog.text


async def test_a_store_that_says_no(stage: Stage, client: Client) -> None:
    assert isinstance(stage.store, MemoryStore)
    stage.store.inject(Faults(errors={"commit": [StoreRefused("no space")]}))
    failed = await failure(client.claims.BeginUpdate(request(2, ["x"])))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INTERNAL, "STORE_REFUSED")


async def test_a_deadline_that_passed_ends_the_call(stage: Stage, client: Client) -> None:
    call = client.cells.Watch(cells_pb2.WatchCellsRequest(), timeout=0.2)
    await call.read()
    await call.read()  # the bookmark: the watch stands
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_method_without_a_rule_is_for_anybody_with_a_certificate() -> None:
    rules = rules_of(FILES)
    assert rules["/gitlab.cells.topology_service.CellService/GetCell"] == (1,)
    assert rules["/gitlab.cells.topology_service.ClassifyService/Classify"] == (2, 4, 5)
