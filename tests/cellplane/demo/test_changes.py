"""The demo's changes are planned as everybody's are, and none of them is refused."""

from __future__ import annotations

from cellplane.demo.changes import RULES, UP, Planned, added, moved, ruled
from cellplane.demo.stub_cell import start_stub_cell
from envoy.rules import Ruleset, parse_ruleset
from topology.apply import Applied, apply, read_view
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import CellState


async def test_a_cell_is_added_and_moved_and_rules_are_written() -> None:
    store, keyspace = MemoryStore(), Keyspace()
    stub = await start_stub_cell(7)

    async def done(change: Planned) -> None:
        assert isinstance(await apply(store, keyspace, change), Applied)

    try:
        await done(added(stub))
        for state in UP:
            await done(moved(7, state))
        await done(moved(7, CellState.QUARANTINED, "disk"))
        await done(ruled)
    finally:
        await stub.stop()

    view = await read_view(store, keyspace)
    assert (CellState.QUARANTINED, stub.port) == (view.cells[7].state, view.cells[7].endpoints[0].port)
    assert view.documents["rules", "current"].body == RULES


def test_the_rules_hold() -> None:
    assert isinstance(parse_ruleset(RULES), Ruleset)
