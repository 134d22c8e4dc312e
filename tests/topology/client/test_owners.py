"""Whether an owner is still here, asked of a real service over both kinds of channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from pb.cellplane.topology.v1 import transfer_pb2
from tests.topology.service.conftest import CELLS
from tests.topology.service.stage import Client, Stage, playing
from tests.topology.service.test_claim_service import begin, commit
from tests.topology.service.test_transfer_service import wish
from topology.client.errors import ClaimRefused, ServiceAway
from topology.client.owners import OwnerClient, SyncOwnerClient, Whereabouts
from topology.keys import Keyspace
from topology.memory import MemoryStore

OWNER = "NAMESPACE/42"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/service"), CELLS) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Client:
    return stage.client()


async def test_an_owner_is_here_until_it_has_left(stage: Stage, client: Client) -> None:
    one, two = OwnerClient(client.channel, 1), OwnerClient(client.channel, 2)
    assert await one.whereabouts(OWNER) == Whereabouts((), 0, here=True), "nobody claims for it yet"
    await commit(client, 1, await begin(client, 1, ["acme"]))
    await stage.caught_up()
    assert await one.whereabouts(OWNER) == Whereabouts((1,), 1, here=True)
    assert not (await two.whereabouts(OWNER)).here
    answer: transfer_pb2.TransferResponse = await client.transfers.Transfer(wish())
    await stage.follower.reached(answer.cursor)
    await stage.caught_up()
    assert await one.whereabouts(OWNER) == Whereabouts((2,), 2, here=False)
    assert (await two.whereabouts(OWNER)).here


async def test_threads_ask_alike(stage: Stage, client: Client) -> None:
    await commit(client, 1, await begin(client, 1, ["acme"]))
    await stage.caught_up()
    with grpc.insecure_channel(f"localhost:{stage.port}") as channel:
        found = await asyncio.to_thread(SyncOwnerClient(channel, 1).whereabouts, OWNER)
        assert found == Whereabouts((1,), 1, here=True)
        with pytest.raises(ClaimRefused):
            await asyncio.to_thread(SyncOwnerClient(channel, 1).whereabouts, "nobody")
    with grpc.insecure_channel("localhost:1") as away, pytest.raises(ServiceAway):
        await asyncio.to_thread(SyncOwnerClient(away, 1).whereabouts, OWNER)
