"""Whatever operators wish, in whatever order and at once, the store never holds what must not be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.properties.topology_histories import SPACE, Keys, Write
from topology import lifecycle
from topology.forms import format_utc
from topology.model import Cell, CellState, Endpoint, SequenceRange, Stamp
from topology.planning import (
    Outcome,
    Overtaken,
    Plan,
    Refusal,
    plan_add,
    plan_document,
    plan_remove,
    plan_set_state,
    plan_set_weight,
    plan_update,
)
from topology.uniqueness import Register
from topology.view import View, fold, from_listing

# Small enough that wishes collide often, and large enough that many come true.
IDS = st.integers(1, 4)
PREFIXES = st.sampled_from(["", "", "a", "a-b", "cell-1"])
SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)), max_size=1)
HOSTS = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), max_size=2, unique=True)
STATES = st.sampled_from(CellState)


def made(cell_id: int, prefix: str, spans: list[tuple[int, int]], hosts: list[str], stamp: Stamp) -> Cell:
    return Cell(
        id=cell_id,
        name=f"cell-{cell_id}",
        state=CellState.PROVISIONING,
        endpoints=tuple(Endpoint(host=host, port=8000) for host in hosts or [f"10.1.0.{cell_id}"]),
        session_prefix=prefix,
        sequence_ranges=tuple(SequenceRange(minval=start, maxval=start + size) for start, size in spans),
        stamp=stamp,
    )


class Operators(RuleBasedStateMachine):
    """Several operators who plan from Views of different ages, and commit when they get round to it."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = Keys()
        self.view = from_listing(self.keys.listing(), SPACE)
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.desk: list[tuple[View, Plan]] = []
        self.used: dict[int, tuple[str, frozenset[int]]] = {}
        self.hasty = False

    def stamp(self) -> Stamp:
        self.now += timedelta(seconds=1)
        return Stamp(updated_by="ada", updated_at=format_utc(self.now), reason="")

    def lay_down(self, outcome: Outcome) -> None:
        """Keep a plan for later; whatever else came out names what is wrong."""
        if isinstance(outcome, Plan):
            assert outcome.summary
            self.desk.append((self.view, outcome))
            if self.hasty:
                self.commit(-1)
        elif isinstance(outcome, Refusal):
            assert outcome.problems
            assert all(problem.field and ":" in problem.message for problem in outcome.problems)
        else:
            assert isinstance(outcome, Overtaken)

    @initialize()
    def start_with_two(self) -> None:
        for cell_id in (1, 2):
            self.lay_down(plan_add(self.view, made(cell_id, "", [], [], self.stamp())))
            self.commit(0)

    @rule(hasty=st.booleans())
    def change_pace(self, hasty: bool) -> None:
        """Commit plans at once, or let them lie."""
        self.hasty = hasty

    @rule(cell_id=IDS, prefix=PREFIXES, spans=SPANS, hosts=HOSTS)
    def add(self, cell_id: int, prefix: str, spans: list[tuple[int, int]], hosts: list[str]) -> None:
        self.lay_down(plan_add(self.view, made(cell_id, prefix, spans, hosts, self.stamp())))

    @rule(cell_id=IDS, to=STATES, seconds=st.none() | st.integers(0, 3), force=st.booleans())
    def move(self, cell_id: int, to: CellState, seconds: int | None, force: bool) -> None:
        self.lay_down(plan_set_state(self.view, cell_id, to, self.stamp(), seconds, force=force))

    @rule(cell_id=IDS, weight=st.integers(-1, 3), force=st.booleans())
    def weigh(self, cell_id: int, weight: int, force: bool) -> None:
        self.lay_down(plan_set_weight(self.view, cell_id, weight, self.stamp(), force=force))

    @rule(cell_id=IDS, spans=SPANS, hosts=HOSTS)
    def update(self, cell_id: int, spans: list[tuple[int, int]], hosts: list[str]) -> None:
        if cell_id in self.view.cells:
            self.lay_down(plan_update(self.view, self.changed(cell_id, spans, hosts)))

    @rule(prefix=PREFIXES, spans=SPANS, hosts=HOSTS, ids=st.lists(IDS, min_size=2, max_size=2, unique=True))
    def want_the_same(
        self, prefix: str, spans: list[tuple[int, int]], hosts: list[str], ids: list[int]
    ) -> None:
        """Two operators plan from one View what only one of them can have; both commit."""
        plans: list[Outcome] = []
        for cell_id in ids:
            if cell_id in self.view.cells:
                plans.append(plan_update(self.view, self.changed(cell_id, spans, hosts)))
            else:
                plans.append(plan_add(self.view, made(cell_id, prefix, spans, hosts, self.stamp())))
        pace, self.hasty = self.hasty, False
        for plan in plans:
            self.lay_down(plan)
        self.hasty = pace
        for _ in plans:
            self.commit(-1)

    def changed(self, cell_id: int, spans: list[tuple[int, int]], hosts: list[str]) -> Cell:
        cell = self.view.cells[cell_id]
        new = made(cell_id, cell.session_prefix, spans, hosts, self.stamp())
        return replace(
            cell,
            endpoints=new.endpoints,
            sequence_ranges=(*cell.sequence_ranges, *new.sequence_ranges),
            stamp=new.stamp,
        )

    @rule(ids=st.lists(IDS, max_size=3), force=st.booleans())
    def remove(self, ids: list[int], force: bool) -> None:
        self.lay_down(plan_remove(self.view, ids, self.stamp(), force=force))

    @rule(body=st.none() | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1))
    def document(self, body: dict[str, int] | None) -> None:
        self.lay_down(plan_document(self.view, "rules", "current", body, self.stamp()))

    @rule()
    def retire_the_next(self) -> None:
        """Take a cell to its end by force, so that much is used up early."""
        for cell_id in self.view.cells:
            self.lay_down(plan_remove(self.view, [cell_id], self.stamp(), force=True))
            self.commit(-1)
            return

    @rule(at=st.integers(0, 5))
    def commit(self, at: int) -> None:
        """Commit some plan from the desk, however old, as a store would."""
        if not self.desk:
            return
        seen, plan = self.desk.pop(at % len(self.desk))
        for compare in plan.txn.compares:
            found = self.keys.records.get(compare.key)
            if (found.mod_revision if found else 0) != compare.mod_revision:
                assert seen.revision < self.view.revision, "a plan from the newest View always commits"
                return
        writes: list[Write] = [*plan.txn.puts, *((key, None) for key in plan.txn.deletes)]
        before = self.view
        self.view = fold(self.view, self.keys.commit(writes))
        self.check_moves(before, plan)

    def check_moves(self, before: View, plan: Plan) -> None:
        """See that every cell moved along the table, if it moved."""
        for cell_id, cell in self.view.cells.items():
            old = before.cells.get(cell_id)
            if old is not None and old.state is not cell.state:
                assert cell.state in lifecycle.allowed_moves(old.state, old.previous_state)
            if old is None:
                assert cell.state is CellState.PROVISIONING
                assert cell_id not in self.used
                self.used[cell_id] = (cell.session_prefix, frozenset())
        if plan.cell is not None:
            assert self.view.cells[plan.cell.id] == plan.cell

    @invariant()
    def nothing_is_kept_out(self) -> None:
        assert self.view.quarantined == {}
        assert self.view == from_listing(self.keys.listing(), SPACE)

    @invariant()
    def nothing_is_shared(self) -> None:
        register = Register((*self.view.cells.values(), *self.view.retired.values()))
        cells = list(self.view.cells.values())
        places = [(each.host, each.port) for cell in cells for each in cell.endpoints]
        assert len(places) == len(set(places))
        assert len({cell.name for cell in cells}) == len(cells)
        assert all(not register.clashes(cell) for cell in cells)

    @invariant()
    def nothing_used_is_forgotten(self) -> None:
        held = self.view.cells.keys() | self.view.retired.keys()
        assert held == self.used.keys()
        for cell_id, (prefix, numbers) in self.used.items():
            holder = self.view.cells.get(cell_id) or self.view.retired[cell_id]
            now = frozenset(
                number for each in holder.sequence_ranges for number in range(each.minval, each.maxval + 1)
            )
            assert holder.session_prefix == prefix
            assert numbers <= now
            self.used[cell_id] = (prefix, now)


TestOperators = Operators.TestCase
TestOperators.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
