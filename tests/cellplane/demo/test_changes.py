"""The demo's changes are asked of the Topology Service as everybody's are, and none of them is refused."""

from __future__ import annotations

import asyncio

import pytest

from cellplane.demo.changes import RULES, UP, added, moved, removed, ruled, weighed
from cellplane.demo.stub_cell import start_stub_cell
from cellplane.demo.topology_client import CallFailed, TopologyClient
from cellplane.document_writers import WRITERS
from envoy.rules import Ruleset, parse_ruleset
from tests.topology.samples import cell
from tests.topology.service.stage import playing
from topology.apply import read_view
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import CellState


async def test_cells_are_added_moved_weighed_removed_and_rules_are_written() -> None:
    store, keyspace = MemoryStore(), Keyspace()
    stub, gone = await asyncio.gather(start_stub_cell(7), start_stub_cell(8))
    try:
        async with (
            playing(store, keyspace, writers=WRITERS) as stage,
            TopologyClient(f"localhost:{stage.port}") as client,
        ):
            await client.change(added(stub))
            for state in UP:
                await client.change(moved(7, state))
            await client.change(weighed(7, 30))
            await client.change(moved(7, CellState.QUARANTINED, "disk"))
            await client.change(added(gone))
            await client.change(removed(8))
            revision = await client.change(ruled())
            with pytest.raises(CallFailed, match="there is no cell 9"):
                await client.change(weighed(9, 1))
    finally:
        await asyncio.gather(stub.stop(), gone.stop())

    view = await read_view(store, keyspace)
    found = view.cells[7]
    assert (found.state, found.weight, found.endpoints[0].port) == (CellState.QUARANTINED, 30, stub.port)
    assert (list(view.cells), list(view.retired)) == ([7], [8])
    assert (view.documents["rules", "current"].body, view.revision) == (RULES, revision)


async def test_a_path_is_claimed_once() -> None:
    async with (
        playing(MemoryStore(), Keyspace(), (cell(1), cell(2))) as stage,
        TopologyClient(f"localhost:{stage.port}") as client,
    ):
        assert await client.classify("acme") == ""
        assert await client.claim(2, "acme") == ""
        await stage.caught_up()
        assert await client.classify("acme") != ""
        assert "cell 2" in await client.claim(1, "acme")


def test_the_rules_hold() -> None:
    assert isinstance(parse_ruleset(RULES), Ruleset)
