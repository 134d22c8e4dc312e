"""GitLab's services around routing, through a real client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from pb.gitlab.cells.topology_service import cell_info_pb2, cell_service_pb2
from pb.gitlab.cells.topology_service import classify_service_pb2 as wire
from pb.gitlab.cells.topology_service.types.v1 import claim_pb2
from tests.topology.samples import STAMP, cell
from tests.topology.service.stage import Client, Stage, failure
from tests.topology.service.test_claim_service import begin, commit
from topology.codec import encode
from topology.forms import format_utc
from topology.model import CellState, Document
from topology.service.routing_services import MOST_BYTES
from topology.store import Txn

Claim = claim_pb2.Claim
Info, Range = cell_info_pb2.CellInfo, cell_info_pb2.SequenceRange


async def address(client: Client, **request: object) -> str:
    answer = await client.classify.Classify(wire.ClassifyRequest(**request))  # type: ignore[arg-type]
    assert answer.action == wire.PROXY
    return answer.proxy.address


async def test_cells_are_listed_as_gitlab_knows_them(client: Client) -> None:
    answer = await client.classify.GetCells(cell_info_pb2.GetCellsRequest())
    assert list(answer.cells) == [
        Info(
            id=1,
            address="cell-1.example.com",
            session_prefix="cell-1",
            sequence_range=Range(minval=1, maxval=999),
            sequence_ranges=[Range(minval=1, maxval=999), Range(minval=5000, maxval=5999)],
        ),
        Info(id=2, address="cell-2.example.com:8443", session_prefix="two"),
        Info(id=3, address="10.0.0.4:8080", session_prefix="cell-3"),
    ]
    assert await client.claims.GetCells(cell_info_pb2.GetCellsRequest()) == answer


async def test_one_cell(client: Client) -> None:
    answer = await client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=2))
    assert answer.cell_info == Info(id=2, address="cell-2.example.com:8443", session_prefix="two")
    missing = await failure(client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=9)))
    assert (missing.code, missing.words) == (grpc.StatusCode.NOT_FOUND, "there is no cell 9")


async def test_a_decommissioned_cell_is_history(stage: Stage, client: Client) -> None:
    await stage.put(cell(4, CellState.DECOMMISSIONED))
    assert [each.id for each in (await client.classify.GetCells(cell_info_pb2.GetCellsRequest())).cells] == [
        1,
        2,
        3,
    ]
    missing = await failure(client.cell.GetCell(cell_service_pb2.GetCellRequest(cell_id=4)))
    assert missing.code is grpc.StatusCode.NOT_FOUND


async def test_classify_by_type(client: Client) -> None:
    assert await address(client, type=wire.FIRST_CELL) == "cell-1.example.com"
    assert await address(client, type=wire.SESSION_PREFIX, value="two") == "cell-2.example.com:8443"
    assert await address(client, type=wire.CELL_ID, value="2") == "cell-2.example.com:8443"


async def test_classify_by_claims_from_the_moment_they_are_leased(stage: Stage, client: Client) -> None:
    lease = await begin(client, 2, ["acme"])
    await stage.caught_up()
    claims = [Claim(route="nobody"), Claim(route="acme")]
    assert await address(client, claims=claims) == "cell-2.example.com:8443"
    # Claims stand before type and value.
    assert await address(client, claims=claims, type=wire.FIRST_CELL) == "cell-2.example.com:8443"
    await commit(client, 2, lease)
    await stage.caught_up()
    assert await address(client, claims=claims) == "cell-2.example.com:8443"


async def test_old_clients_are_still_understood(stage: Stage, client: Client) -> None:
    """They send the claim as field 4, which the message does not know any more."""
    await commit(client, 2, await begin(client, 2, ["acme"]))
    await stage.caught_up()
    call: Any = client.channel.unary_unary("/gitlab.cells.topology_service.ClassifyService/Classify")
    answer = await call(b"\x22\x06\x0a\x04acme")
    assert answer == b"\x08\x01\x12\x19\x0a\x17cell-2.example.com:8443"


async def test_nothing_found_is_a_normal_answer(client: Client) -> None:
    for request in (
        wire.ClassifyRequest(claims=[Claim(route="nobody")]),
        wire.ClassifyRequest(type=wire.SESSION_PREFIX, value="nine"),
        wire.ClassifyRequest(type=wire.CELL_ID, value="9"),
        wire.ClassifyRequest(type=wire.CELL_ID, value="3"),
    ):
        assert (await failure(client.classify.Classify(request))).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (wire.ClassifyRequest(), 'invalid type: "UNSPECIFIED"'),
        (wire.ClassifyRequest(value="x"), 'invalid type: "UNSPECIFIED"'),
        (wire.ClassifyRequest.FromString(b"\x10\x07"), 'invalid type: "7"'),
        (wire.ClassifyRequest(type=wire.CELL_ID, value="-1"), "value: '-1' is no cell id: send a number"),
        (wire.ClassifyRequest(claims=[Claim()]), "claims[0]: is empty"),
        (
            wire.ClassifyRequest.FromString(b"\x2a\x04\x9a\x01\x01x"),
            "claims[0]: holds field 19, which this version does not know",
        ),
    ],
)
async def test_what_cannot_be_classified_is_said_and_counted(
    stage: Stage, client: Client, request_: wire.ClassifyRequest, words: str
) -> None:
    refused = await failure(client.classify.Classify(request_))
    assert (refused.code, refused.words) == (grpc.StatusCode.INVALID_ARGUMENT, words)
    assert stage.server.classify.decisions == {("UNKNOWN", "invalid"): 1}


async def test_operators_overrides_hold_for_whoever_asks_here(stage: Stage, client: Client) -> None:
    """An owner is where it is pinned, refused where it is blocked, and a cell that is passed over is none."""
    await commit(client, 2, await begin(client, 2, ["acme"]))
    await stage.caught_up()
    acme: dict[str, Any] = {"claims": [Claim(route="acme")]}

    async def override(name: str, body: dict[str, object] | None) -> None:
        key = stage.keyspace.document("overrides", name)
        until = {"until": format_utc(datetime.now(UTC) + timedelta(hours=1))}
        document = Document(kind="overrides", name=name, body={**until, **(body or {})}, stamp=STAMP)
        txn = Txn(deletes=(key,)) if body is None else Txn(puts=((key, encode(document)),))
        await stage.store.commit(txn)
        await stage.put()

    await override("NAMESPACE/42", {"action": "pin", "cell": 1})
    assert await address(client, **acme) == "cell-1.example.com"
    await override("NAMESPACE/42", {"action": "block"})
    refused = await failure(client.classify.Classify(wire.ClassifyRequest(claims=[Claim(route="acme")])))
    assert (refused.code, refused.info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "OWNER_BLOCKED")
    assert refused.words.startswith('ROUTES "acme" is NAMESPACE/42\'s, which operators block until ')
    assert refused.info.metadata["owner"] == "NAMESPACE/42"
    assert stage.server.classify.decisions["ByClaims", "blocked"] == 1
    await override("NAMESPACE/42", None)
    await override("cell/2", {"action": "pass"})
    for request in (wire.ClassifyRequest(**acme), wire.ClassifyRequest(type=wire.CELL_ID, value="2")):
        gone = await failure(client.classify.Classify(request))
        assert (gone.code, gone.words) == (
            grpc.StatusCode.NOT_FOUND,
            "cell 2 is passed over by an operator",
        )
    await override("cell/2", None)
    assert await address(client, **acme) == "cell-2.example.com:8443"


async def test_decisions_are_counted_by_kind_and_outcome(stage: Stage, client: Client) -> None:
    await address(client, type=wire.FIRST_CELL)
    await failure(client.classify.Classify(wire.ClassifyRequest(claims=[Claim(route="nobody")])))
    assert stage.server.classify.decisions == {("FirstCell", "routed"): 1, ("ByClaims", "not_found"): 1}


async def test_an_answer_is_kept_until_a_cell_or_a_claim_changes(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme: dict[str, Any] = {"claims": [Claim(route="acme")]}
    await commit(client, 2, await begin(client, 2, ["acme"]))
    await stage.caught_up()
    decided = 0
    decide = stage.server.classify.decide

    def counted(request: wire.ClassifyRequest) -> Any:
        nonlocal decided
        decided += 1
        return decide(request)

    monkeypatch.setattr(stage.server.classify, "decide", counted)
    assert [await address(client, **acme) for _ in range(3)] == ["cell-2.example.com:8443"] * 3
    assert decided == 1
    assert stage.server.classify.decisions["ByClaims", "routed"] == 3
    await stage.put(cell(2, addresses={"web": "elsewhere.example.com:443"}, session_prefix="two"))
    assert [await address(client, **acme) for _ in range(2)] == ["elsewhere.example.com:443"] * 2
    assert decided == 2
    long = {"claims": [Claim(route="acme"), Claim(route="x" * MOST_BYTES)]}
    assert [await address(client, **long) for _ in range(2)] == ["elsewhere.example.com:443"] * 2
    assert decided == 4, "what is long is kept for nobody: its sender chooses how long"
    await commit(client, 2, await begin(client, 2, (), ["acme"]))
    await stage.caught_up()
    gone = await failure(client.classify.Classify(wire.ClassifyRequest(**acme)))
    assert gone.code is grpc.StatusCode.NOT_FOUND


async def test_without_the_store_classification_goes_on(stage: Stage, client: Client) -> None:
    await commit(client, 2, await begin(client, 2, ["acme"]))
    await stage.caught_up()
    await stage.store.close()
    assert await address(client, claims=[Claim(route="acme")]) == "cell-2.example.com:8443"
