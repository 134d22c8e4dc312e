"""DocumentService: read by all, written where a planner stands for the kind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import pytest

from pb.cellplane.topology.v1 import documents_pb2 as wire
from tests.topology.service.stage import Client, Stage, failure, playing
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Problem, Stamp
from topology.planning import Outcome, Refusal, plan_document
from topology.store import Txn
from topology.view import View


def write(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    if body == {"bad": True}:
        return Refusal(problems=(Problem(field="bad", message="must not be: leave it out"),))
    return plan_document(view, "rules", name, body, stamp)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/service"), writers={"rules": write}) as stage:
        yield stage


def put(client: Client, body: Any, **more: Any) -> Any:
    about = {"kind": "rules", "name": "current", **more}
    text = body if isinstance(body, str) else json.dumps(body)
    return client.documents.PutDocument(
        wire.PutDocumentRequest(body=text, **about), metadata=[("x-cellplane-user", "ada")]
    )


async def listed(client: Client, **more: Any) -> wire.ListDocumentsResponse:
    request = wire.ListDocumentsRequest(**{"kind": "rules", "fresh": True, **more})
    answer: wire.ListDocumentsResponse = await client.documents.ListDocuments(request)
    return answer


async def test_a_document_is_written_read_and_deleted(client: Client) -> None:
    body = {"number": 9007199254740993, "rules": [{"ä": 1.5}], "none": None}
    dry = await put(client, body, reason="why", dry_run=True)
    assert not (await listed(client)).documents
    done = await put(client, body, reason="why", shown=dry.summary)
    first = await listed(client)
    (found,) = first.documents
    assert (found.kind, found.name, found.updated_by, found.reason) == ("rules", "current", "ada", "why")
    assert json.loads(found.body) == body
    assert found.revision == first.revision == done.revision
    await put(client, {}, name="other")
    assert [each.name for each in (await listed(client)).documents] == ["current", "other"]
    assert [each.name for each in (await listed(client, name="other")).documents] == ["other"]
    past = await listed(client, fresh=False, revision=done.revision)
    assert past.documents == first.documents
    end = wire.DeleteDocumentRequest(kind="rules", name="current")
    await client.documents.DeleteDocument(end)
    assert [each.name for each in (await listed(client)).documents] == ["other"]
    missing = await failure(client.documents.DeleteDocument(end))
    assert (missing.code, set(missing.fields)) == (grpc.StatusCode.FAILED_PRECONDITION, {"name"})


async def test_what_the_kinds_planner_refuses_is_refused(client: Client) -> None:
    refused = await failure(put(client, {"bad": True}))
    assert (refused.code, refused.fields) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        {"bad": "must not be: leave it out"},
    )
    assert refused.info.metadata["what"] == "writing the ruleset"


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"kind": "nonsense"}, grpc.StatusCode.INVALID_ARGUMENT, "kind: 'nonsense' is none"),
        ({"kind": "pushes-good"}, grpc.StatusCode.FAILED_PRECONDITION, "these may be: rules"),
        ({"body": "{"}, grpc.StatusCode.INVALID_ARGUMENT, "body: is no JSON"),
        ({"body": "[]"}, grpc.StatusCode.INVALID_ARGUMENT, "body: must be a JSON object"),
        ({"reason": "x" * 501}, grpc.StatusCode.INVALID_ARGUMENT, "reason"),
    ],
)
async def test_what_cannot_be_written(client: Client, more: dict[str, Any], code: Any, words: str) -> None:
    refused = await failure(put(client, more.pop("body", {}), **more))
    assert refused.code is code
    assert words in refused.words


async def test_a_document_that_cannot_be_read_is_named(stage: Stage, client: Client) -> None:
    puts = (("/service/rules/current", b"{"), ("/service/pushes-held/edge", b"{"))
    await stage.store.commit(Txn(puts=puts))
    assert [each.key for each in (await listed(client)).kept_out] == ["/service/rules/current"]
    assert (await failure(client.documents.ListDocuments(wire.ListDocumentsRequest(kind="x")))).code is (
        grpc.StatusCode.INVALID_ARGUMENT
    )
