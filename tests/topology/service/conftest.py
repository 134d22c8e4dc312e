"""A Topology Service over a store in memory, with three cells."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.topology.samples import cell
from tests.topology.service.stage import Client, Stage, playing
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import Cell, CellState, SequenceRange

CELLS: tuple[Cell, ...] = (
    cell(
        1,
        addresses={"web": "https://cell-1.example.com"},
        sequence_ranges=(SequenceRange(minval=1, maxval=999), SequenceRange(minval=5000, maxval=5999)),
    ),
    cell(2, addresses={"web": "cell-2.example.com:8443"}, session_prefix="two"),
    cell(3, CellState.PROVISIONING),
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with playing(MemoryStore(), Keyspace("/service"), CELLS) as stage:
        yield stage


@pytest.fixture
async def guarded() -> AsyncIterator[Stage]:
    """Give the same under mTLS."""
    async with playing(MemoryStore(), Keyspace("/service"), CELLS, verified=True) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Client:
    return stage.client()
