"""States of a wave are read once from the store, and what cannot be read is named while it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from cellplane.wave_views import WaveViews
from tests.cellplane.pushing import view_of
from tests.cellplane.views import cell
from tests.processes import eventually
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.store import Txn

VIEW = view_of(10, cell(1), cell(2))


@dataclass
class Rig:
    store: MemoryStore
    views: WaveViews
    loaded: list[int] = field(default_factory=list)

    async def put(self, name: str, value: bytes) -> None:
        await self.store.commit(Txn(puts=((self.views.key("edge", name), value),)))

    async def says(self, words: str) -> None:
        async def told() -> bool:
            self.views.get("edge", "a", VIEW)
            return words in self.views.problem

        await eventually(told, words, within=20)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    store, loaded = MemoryStore(), list[int]()
    views = WaveViews(store, Keyspace(), lambda: loaded.append(1))
    running = asyncio.ensure_future(views.run())
    yield Rig(store, views, loaded)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_state_is_read_when_it_is_asked_for_and_forgotten_when_nobody_names_it(rig: Rig) -> None:
    await rig.put("a", await rig.views.encoded(VIEW))
    assert rig.views.get("edge", "a", VIEW) is None

    async def read() -> bool:
        return bool(rig.loaded)

    await eventually(read, "the state", within=20)
    found = rig.views.get("edge", "a", VIEW)
    assert found is not None
    assert found.cells[2] is VIEW.cells[2]
    rig.views.keep("edge", ("b",))
    assert rig.views.get("edge", "a", VIEW) is None


async def test_what_is_missing_or_damaged_is_named_until_it_is_there_or_nobody_needs_it(rig: Rig) -> None:
    await rig.says("/cellplane/v1-waves/edge/a: it is not there")
    await rig.put("a", b"nonsense")
    await rig.says("incorrect header check")
    rig.views.keep("edge", ("b",))
    assert rig.views.problem == ""
    await rig.put("a", await rig.views.encoded(VIEW))
    rig.views.get("edge", "a", VIEW)

    async def read() -> bool:
        return bool(rig.loaded)

    await eventually(read, "the state", within=20)
    assert rig.views.problem == ""
