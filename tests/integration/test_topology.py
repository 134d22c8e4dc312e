"""Several operators at once on a real etcd, and what garbage written past them does to everybody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.contract.etcd_admin import put_raw
from tests.etcd_server import EtcdServer
from tests.topology.samples import LATER, STAMP, cell
from topology.apply import Applied, Overtaken, Refusal, apply, read_view
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.keys import Keyspace
from topology.model import Cell, CellState, SequenceRange
from topology.planning import Outcome, plan_add, plan_remove, plan_set_state, plan_set_weight
from topology.store import Txn
from topology.view import QuarantineKind, View

NEW = CellState.PROVISIONING


@asynccontextmanager
async def stores(etcd: EtcdServer, count: int) -> AsyncIterator[list[EtcdStore]]:
    made = [EtcdStore([etcd.endpoint]) for _ in range(count)]
    try:
        yield made
    finally:
        for store in made:
            await store.close()


def adding(new: Cell) -> Callable[[View], Outcome]:
    return lambda view: plan_add(view, new)


SAME: list[Callable[[int], Cell]] = [
    lambda number: cell(number, NEW, session_prefix="same"),
    lambda number: cell(number, NEW, sequence_ranges=(SequenceRange(minval=number, maxval=number + 100),)),
    lambda number: cell(7, NEW, name=f"cell-{number}"),
]


@pytest.mark.parametrize("make", SAME)
async def test_of_many_that_want_the_same_one_gets_it(
    etcd: EtcdServer, etcd_prefix: str, make: Callable[[int], Cell]
) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 4) as operators:
        outcomes = await asyncio.gather(
            *(apply(store, space, adding(make(number))) for number, store in enumerate(operators, start=1))
        )
        assert Counter(type(outcome) for outcome in outcomes) == {Applied: 1, Refusal: 3}
        view = await read_view(operators[0], space)
    assert len(view.cells) == 1
    assert view.quarantined == {}


async def test_many_that_want_different_things_all_get_them(etcd: EtcdServer, etcd_prefix: str) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 5) as operators:
        outcomes = await asyncio.gather(
            *(
                apply(store, space, adding(cell(number, NEW)))
                for number, store in enumerate(operators, start=1)
            )
        )
        assert all(isinstance(outcome, Applied) for outcome in outcomes)
        assert list((await read_view(operators[0], space)).cells) == [1, 2, 3, 4, 5]


async def test_the_last_two_cells_cannot_both_be_cordoned_at_once(etcd: EtcdServer, etcd_prefix: str) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 2) as operators:
        puts = tuple((space.cell(number), encode(cell(number))) for number in (1, 2))
        await operators[0].commit(Txn(puts=puts))
        outcomes = await asyncio.gather(
            *(
                apply(store, space, lambda view, n=number: plan_set_state(view, n, CellState.CORDONED, LATER))  # type: ignore[misc]
                for number, store in enumerate(operators, start=1)
            )
        )
        assert Counter(type(outcome) for outcome in outcomes) == {Applied: 1, Refusal: 1}


async def test_the_second_operator_sees_what_the_first_did(etcd: EtcdServer, etcd_prefix: str) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 2) as (one, two):
        await one.commit(Txn(puts=((space.cell(1), encode(cell(1))), (space.cell(2), encode(cell(2))))))
        seen = (await read_view(two, space)).cell_revision(1)
        assert isinstance(await apply(one, space, lambda view: plan_set_weight(view, 1, 5, LATER)), Applied)
        outcome = await apply(
            two, space, lambda view: plan_set_weight(view, 1, 9, STAMP, expected_revision=seen)
        )
        assert isinstance(outcome, Overtaken)
        assert outcome.changes == ("last written by bob at 2026-03-01T13:00:00Z: second thoughts",)
        assert outcome.cell is not None
        assert outcome.cell.weight == 5


async def test_a_cell_from_its_first_day_to_its_last(etcd: EtcdServer, etcd_prefix: str) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 1) as (store,):
        for new in (cell(1, NEW), cell(2, NEW)):
            assert isinstance(await apply(store, space, adding(new)), Applied)
        for cell_id, to in [(2, "CANARY"), (2, "ACTIVE"), (1, "CANARY"), (1, "ACTIVE"), (1, "DRAINING")]:
            await move(store, space, cell_id, CellState(to))
        for to in ("DRAINED", "DECOMMISSIONED"):
            await move(store, space, 1, CellState(to))
        assert isinstance(await apply(store, space, lambda view: plan_remove(view, [1], LATER)), Applied)
        view = await read_view(store, space)
        assert (list(view.cells), list(view.retired)) == ([2], [1])
        again = await apply(store, space, adding(cell(1, NEW)))
        assert isinstance(again, Refusal)
        last = await apply(store, space, lambda view: plan_remove(view, [2], LATER))
        assert isinstance(last, Refusal)
        assert {problem.field for problem in last.problems} == {"cells.2.state", "cells"}


async def move(store: EtcdStore, space: Keyspace, cell_id: int, to: CellState) -> None:
    seconds = 0 if to is CellState.DRAINING else None
    outcome = await apply(store, space, lambda view: plan_set_state(view, cell_id, to, LATER, seconds))
    assert isinstance(outcome, Applied), outcome


async def test_garbage_in_etcd_is_shown_and_harms_nobody(etcd: EtcdServer, etcd_prefix: str) -> None:
    space = Keyspace(etcd_prefix)
    async with stores(etcd, 1) as (store,):
        await store.commit(Txn(puts=((space.cell(1), encode(cell(1))), (space.cell(2), encode(cell(2))))))
        await put_raw(etcd.endpoint, space.cell(3).encode(), b"\xff not a cell")
        await put_raw(etcd.endpoint, f"{etcd_prefix}/oops".encode(), b"{}")
        view = await read_view(store, space)
        assert list(view.cells) == [1, 2]
        assert {key: kept.kind for key, kept in view.quarantined.items()} == {
            space.cell(3): QuarantineKind.UNDECODABLE,
            f"{etcd_prefix}/oops": QuarantineKind.UNKNOWN_KEY,
        }
        refused = await apply(store, space, adding(cell(3, NEW)))
        assert isinstance(refused, Refusal)
        assert "is kept out" in refused.problems[0].message
        assert isinstance(await apply(store, space, adding(cell(4, NEW))), Applied)
