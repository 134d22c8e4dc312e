"""A backup over gRPC: everything at one moment, whole, and for admins alone."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from pb.cellplane.topology.v1 import backup_pb2, backup_pb2_grpc
from tests.topology.service.stage import Client, Stage, drained, failure
from topology.backup import spaces, take
from topology.errors import Compacted
from topology.memory import Faults
from topology.service import backup_service
from topology.store import Txn


def asked(client: Client) -> Any:
    stub: Any = backup_pb2_grpc.BackupServiceStub(client.channel)
    return stub.TakeBackup(backup_pb2.TakeBackupRequest())


async def test_it_comes_whole_in_several_messages(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_service, "AT_ONCE", 2)
    await stage.store.commit(Txn(puts=((f"{stage.keyspace.root}rules/x", b"\xff"),)))
    wanted = await take(stage.store, spaces(stage.keyspace))
    messages = [message async for message in asked(client)]
    assert len(messages) == (len(wanted.records) + 1) // 2
    assert {(each.revision, each.total) for each in messages} == {(wanted.revision, len(wanted.records))}
    found = [(each.space, each.key, each.value) for message in messages for each in message.records]
    assert found == [(each.space, each.key, each.value) for each in wanted.records]


async def test_large_records_are_spread_over_messages(stage: Stage, client: Client) -> None:
    for number in range(5):
        await stage.store.commit(Txn(puts=((f"{stage.keyspace.root}rules/{number}", b"x" * 600_000),)))
    messages = [message async for message in asked(client)]
    assert max(message.ByteSize() for message in messages) < 2_000_000


async def test_a_store_that_compacts_all_the_time_is_told(stage: Stage, client: Client) -> None:
    stage.store.inject(Faults(errors={"list": [Compacted(1)] * 3}))  # type: ignore[attr-defined]
    ended = await failure(drained(asked(client)))
    assert (ended.code, ended.info.reason) == (grpc.StatusCode.UNAVAILABLE, "COMPACTED")


async def test_it_is_for_admins(guarded: Stage) -> None:
    refused = await failure(drained(asked(guarded.client("CELL-1"))))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert [message async for message in asked(guarded.client("ADMIN"))]
