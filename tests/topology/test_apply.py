from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.topology.samples import LATER, cell
from topology.apply import Applied, Overtaken, Plan, Refusal, apply, read_view
from topology.codec import encode
from topology.errors import Compacted, OutcomeUnknown, StoreRefused, StoreUnavailable
from topology.keys import Keyspace
from topology.memory import Faults, MemoryStore
from topology.model import Cell, CellState
from topology.planning import Outcome, plan_add, plan_document, plan_remove, plan_set_state, plan_set_weight
from topology.store import Committed, Conflict, Txn
from topology.view import View

SPACE = Keyspace()
NEW = CellState.PROVISIONING


class Interrupted(MemoryStore):
    """Lets somebody else write just before a commit."""

    def __init__(self, *others: Txn) -> None:
        super().__init__()
        self.others = list(others)

    async def commit(self, txn: Txn) -> Committed | Conflict:
        if self.others:
            await super().commit(self.others.pop(0))
        return await super().commit(txn)


def writing(*cells: Cell, delete: tuple[str, ...] = ()) -> Txn:
    puts = tuple((SPACE.cell(each.id), encode(each)) for each in cells)
    return Txn(puts=puts, deletes=delete)


async def store_with(store: MemoryStore, *cells: Cell) -> MemoryStore:
    await MemoryStore.commit(store, writing(*cells))
    return store


async def test_a_change_is_listed_planned_and_committed() -> None:
    store = MemoryStore()
    outcome = await apply(store, SPACE, lambda view: plan_add(view, cell(1, NEW)))
    assert outcome == Applied(
        revision=store.revision,
        cell=cell(1, NEW),
        summary=("cell 1: add cell-1 in PROVISIONING, weight 100",),
    )
    assert (await read_view(store, SPACE)).cells == {1: cell(1, NEW)}


async def test_a_refusal_changes_nothing() -> None:
    store = await store_with(MemoryStore(), cell(1))
    before = store.revision
    assert isinstance(await apply(store, SPACE, lambda view: plan_add(view, cell(1, NEW))), Refusal)
    assert isinstance(
        await apply(store, SPACE, lambda view: plan_set_weight(view, 1, 5, LATER, expected_revision=3)),
        Overtaken,
    )
    assert store.revision == before


@pytest.mark.parametrize(
    ("other", "refused_for"),
    [
        (cell(2, NEW, session_prefix="cell-1"), {"session_prefix"}),
        (cell(1, NEW, name="other"), {"id"}),
        (cell(2, NEW, name="cell-1"), {"name"}),
    ],
)
async def test_of_two_adds_that_want_the_same_one_is_refused(other: Cell, refused_for: set[str]) -> None:
    store = MemoryStore()

    first = plan_add(await read_view(store, SPACE), other)
    assert isinstance(first, Plan)
    racing = Interrupted(first.txn)
    refusal = await apply(racing, SPACE, lambda view: plan_add(view, cell(1, NEW)))
    assert isinstance(refusal, Refusal)
    assert refused_for <= {problem.field for problem in refusal.problems}


async def test_two_adds_that_do_not_meet_both_commit() -> None:
    other = plan_add(View(), cell(2, NEW))
    assert isinstance(other, Plan)
    store = Interrupted(other.txn)
    assert isinstance(await apply(store, SPACE, lambda view: plan_add(view, cell(1, NEW))), Applied)
    assert list((await read_view(store, SPACE)).cells) == [1, 2]


async def test_the_second_operator_sees_what_the_first_changed() -> None:
    moved = replace(cell(1), weight=55, stamp=LATER)
    store = await store_with(Interrupted(writing(moved)), cell(1), cell(2))
    seen = (await read_view(store, SPACE)).cell_revision(1)
    outcome = await apply(store, SPACE, lambda view: plan_set_state(view, 1, CellState.CORDONED, LATER))
    assert outcome == Overtaken(
        key="/cellplane/v1/cells/1",
        seen_revision=seen,
        revision=store.revision,
        changes=("weight: 100 → 55", "by bob at 2026-03-01T13:00:00Z: second thoughts"),
        cell=moved,
    )
    assert (await read_view(store, SPACE)).cells[1] == moved


async def test_a_cell_that_goes_meanwhile_is_told() -> None:
    store = await store_with(Interrupted(Txn(deletes=(SPACE.cell(1),))), cell(1), cell(2))
    outcome = await apply(store, SPACE, lambda view: plan_set_weight(view, 1, 5, LATER))
    assert isinstance(outcome, Overtaken)
    assert (outcome.revision, outcome.changes, outcome.cell) == (0, ("cell 1: is gone",), None)


async def test_a_document_that_another_wrote_is_told() -> None:
    first = plan_document(View(), "rules", "current", {"rules": [1]}, LATER)
    assert isinstance(first, Plan)
    store = Interrupted(first.txn)
    outcome = await apply(store, SPACE, lambda view: plan_document(view, "rules", "current", {}, LATER))
    assert isinstance(outcome, Overtaken)
    assert outcome.changes == ("was written by another at the same moment",)


async def test_a_guard_that_leaned_on_a_cell_which_left_is_asked_again() -> None:
    leaving = replace(cell(2), weight=0, stamp=LATER)
    store = await store_with(Interrupted(writing(leaving)), cell(1), cell(2))
    outcome = await apply(store, SPACE, lambda view: plan_set_state(view, 1, CellState.CORDONED, LATER))
    assert isinstance(outcome, Refusal)
    assert "no other cell takes unowned traffic" in outcome.problems[0].message
    # Where the other only changed and still takes it, the move goes on.
    store = await store_with(Interrupted(writing(replace(cell(2), weight=9))), cell(1), cell(2))
    assert isinstance(
        await apply(store, SPACE, lambda view: plan_set_state(view, 1, CellState.CORDONED, LATER)), Applied
    )


async def test_somebody_who_is_always_faster_is_not_fought_for_ever() -> None:
    others = [Txn(puts=((SPACE.registry, str(number).encode()),)) for number in range(50)]
    store = Interrupted(*others)
    with pytest.raises(StoreUnavailable, match="other writers were faster 10 times"):
        await apply(store, SPACE, lambda view: plan_add(view, cell(1, NEW)))
    assert len(store.others) == 40


@pytest.mark.parametrize(
    "plan",
    [
        lambda view: plan_add(view, cell(3, NEW)),
        lambda view: plan_set_weight(view, 1, 5, LATER),
        lambda view: plan_remove(view, [4], LATER),
        lambda view: plan_document(view, "rules", "current", {"a": 1}, LATER),
    ],
)
async def test_a_lost_answer_is_looked_for(plan: Callable[[View], Outcome]) -> None:
    store = await store_with(MemoryStore(), cell(1), cell(2), cell(4, NEW))
    before = store.revision
    store.inject(Faults(lose_answers=1))
    outcome = await apply(store, SPACE, plan)
    assert isinstance(outcome, Applied)
    assert outcome.revision == store.revision == before + 1


async def test_a_deleted_document_whose_answer_was_lost_is_gone() -> None:
    store = MemoryStore()
    await apply(store, SPACE, lambda view: plan_document(view, "rules", "next", {}, LATER))
    store.inject(Faults(lose_answers=1))
    outcome = await apply(store, SPACE, lambda view: plan_document(view, "rules", "next", None, LATER))
    assert isinstance(outcome, Applied)
    assert outcome.revision == store.revision


async def test_a_commit_that_was_never_made_is_made_again() -> None:
    store = await store_with(MemoryStore(), cell(1))
    store.inject(Faults(errors={"commit": [OutcomeUnknown("cut")]}))
    outcome = await apply(store, SPACE, lambda view: plan_set_weight(view, 1, 5, LATER))
    assert isinstance(outcome, Applied)
    assert (await read_view(store, SPACE)).cells[1].weight == 5


async def test_an_answer_that_is_always_lost_is_told() -> None:
    store = await store_with(MemoryStore(), cell(1))
    store.inject(Faults(errors={"commit": [OutcomeUnknown("cut")] * 50}))
    with pytest.raises(OutcomeUnknown, match="cut"):
        await apply(store, SPACE, lambda view: plan_set_weight(view, 1, 5, LATER))


async def test_a_compaction_between_two_pages_is_nothing() -> None:
    store = await store_with(MemoryStore(), cell(1))
    store.inject(Faults(errors={"list": [Compacted(3), Compacted(4)]}))
    assert list((await read_view(store, SPACE)).cells) == [1]
    store.inject(Faults(errors={"list": [Compacted(3)] * 10}))
    with pytest.raises(StoreUnavailable, match="compacted during 10 listings"):
        await read_view(store, SPACE)


async def test_other_errors_pass_through() -> None:
    store = MemoryStore()
    store.inject(Faults(errors={"commit": [StoreRefused("no")]}))
    with pytest.raises(StoreRefused, match="no"):
        await apply(store, SPACE, lambda view: plan_add(view, cell(1, NEW)))
