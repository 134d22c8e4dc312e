"""Cells are led through their lifecycle and removed while they claim and services die: at every moment no
cell that is DRAINED or DECOMMISSIONED, or gone, owns anything, and no id is ever used again.

The services are called as gRPC would call them, on a store that dies after some of its writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import ClassVar, TypeVar

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2
from pb.gitlab.cells.topology_service.types.v1 import uuid_pb2
from tests.properties.test_claims import DyingStore
from tests.topology.claims.samples import TestClock
from tests.topology.samples import cell
from tests.topology.service.test_claim_service import request
from topology.apply import read_view
from topology.claims import plan
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.stored import StoredClaims
from topology.codec import encode
from topology.errors import StoreUnavailable
from topology.keys import Keyspace
from topology.model import CellState
from topology.service import gate
from topology.service.cells_service import CellsService
from topology.service.cells_wire import cell_message, state_number
from topology.service.claim_service import ClaimService
from topology.service.failure import Failure
from topology.service.identity import Caller, Role
from topology.service.sources import Sources
from topology.store import Txn

T = TypeVar("T")
KEYSPACE = Keyspace("/lifecycle")
EMPTY = (CellState.DRAINED, CellState.DECOMMISSIONED)
MOVED = st.integers(1, 2)  # cell 3 stays ACTIVE, so that others may always go
DIES = st.none() | st.integers(0, 4)
# Most moves lead on: else few cells ever come to the states that this is about.
ON = {
    CellState.ACTIVE: CellState.DRAINING,
    CellState.DRAINING: CellState.DRAINED,
    CellState.DRAINED: CellState.DECOMMISSIONED,
}
STATES = st.none() | st.none() | st.sampled_from(CellState)


class Told(ClaimFollower):
    """Is told of everything when it is waited for, and not before."""

    async def reached(self, cursor: int) -> None:
        self.index.load(await self._store.list())
        assert self.index.cursor >= cursor


class Lifecycle(RuleBasedStateMachine):
    """Cells, claims, leases, and services that die. What came up in all runs is noted in the class."""

    seen: ClassVar[set[CellState]] = set()
    refused_for_claims: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.store, self.clock = DyingStore(), TestClock()
        self.runner = asyncio.Runner()
        self.leases: list[tuple[int, str]] = []
        puts = tuple((KEYSPACE.cell(number), encode(cell(number, CellState.ACTIVE))) for number in (1, 2, 3))
        self.run(self.store.commit(Txn(puts=puts)))
        self.started_anew()

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            gate._caller.set(lambda: Caller(Role.ADMIN, "ADMIN"))
            return await work

        return self.runner.run(awaited())

    def called(self, work: Awaitable[T], dies_after: int | None) -> T | None:
        """Make a call that may be refused, and whose service may die over it."""
        self.store.writes_left = dies_after
        try:
            return self.run(work)
        except Failure as failure:
            Lifecycle.refused_for_claims += any(problem.field == "claims" for problem in failure.problems)
            return None
        except StoreUnavailable:
            return None
        finally:
            self.store.writes_left = None
            if dies_after is not None:
                self.clock.advance(minutes=1)
            self.started_anew()

    def started_anew(self) -> None:
        """Have a replica read everything and finish what the dead left."""
        self.claims = StoredClaims(self.store, ClaimKeyspace.beside(KEYSPACE), clock=self.clock)
        self.follower = Told(self.claims)
        self.follower.loaded = True
        self.follower.index.load(self.run(self.claims.list()))
        for uuid in self.follower.index.unfinished():
            self.run(self.claims.settle(uuid))
        self.follower.index.load(self.run(self.claims.list()))
        self.view = self.run(read_view(self.store, KEYSPACE))
        sources = Sources(lambda: self.view, self.follower)
        self.cells = CellsService(sources, self.claims, self.store, KEYSPACE)
        self.service = ClaimService(sources, self.claims, self.store)

    def teardown(self) -> None:
        self.runner.close()

    @initialize(owns=st.booleans())
    def begins(self, owns: bool) -> None:
        """Let cell 1 own something from the start in half of the runs: few would come to it in time."""
        if owns:
            begun = self.called(self.service.BeginUpdate(request(1, ["a"]), None), None)  # type: ignore[arg-type]
            assert begun is not None
            ended = service_pb2.CommitUpdateRequest(cell_id=1, lease_uuid=begun.lease_uuid)
            assert self.called(self.service.CommitUpdate(ended, None), None) is not None  # type: ignore[arg-type]

    @rule(
        cell_id=MOVED,
        creates=st.frozensets(st.sampled_from("abc"), max_size=2),
        destroys=st.frozensets(st.sampled_from("abc"), max_size=2),
        dies_after=DIES,
    )
    def begin(
        self, cell_id: int, creates: frozenset[str], destroys: frozenset[str], dies_after: int | None
    ) -> None:
        wanted = request(cell_id, sorted(creates), sorted(destroys - creates))
        begun = self.called(self.service.BeginUpdate(wanted, None), dies_after)  # type: ignore[arg-type]
        if begun is not None:
            self.leases.append((cell_id, begun.lease_uuid.value))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), commit=st.booleans(), dies_after=DIES)
    def close(self, data: st.DataObject, commit: bool, dies_after: int | None) -> None:
        cell_id, lease = data.draw(st.sampled_from(self.leases))
        uuid = uuid_pb2.UUID(value=lease)
        if commit:
            ended = service_pb2.CommitUpdateRequest(cell_id=cell_id, lease_uuid=uuid)
            self.called(self.service.CommitUpdate(ended, None), dies_after)  # type: ignore[arg-type]
        else:
            back = service_pb2.RollbackUpdateRequest(cell_id=cell_id, lease_uuid=uuid)
            self.called(self.service.RollbackUpdate(back, None), dies_after)  # type: ignore[arg-type]

    @rule(cell_id=MOVED, to=STATES, dies_after=DIES)
    def move(self, cell_id: int, to: CellState | None, dies_after: int | None) -> None:
        if to is None:
            now = self.view.cells.get(cell_id)
            to = ON.get(now.state, CellState.ACTIVE) if now else CellState.ACTIVE
        over = Duration() if to is CellState.DRAINING else None
        wanted = cells_pb2.TransitionCellRequest(id=cell_id, state=state_number(to), over=over)
        self.called(self.cells.TransitionCell(wanted, None), dies_after)  # type: ignore[arg-type]

    @rule(cell_id=MOVED, dies_after=DIES)
    def remove(self, cell_id: int, dies_after: int | None) -> None:
        wanted = cells_pb2.DeleteCellsRequest(ids=[cell_id])
        self.called(self.cells.DeleteCells(wanted, None), dies_after)  # type: ignore[arg-type]

    @rule(cell_id=MOVED)
    def add(self, cell_id: int) -> None:
        """Take an id that was used."""
        wanted = cells_pb2.CreateCellRequest(cell=cell_message(cell(cell_id, CellState.PROVISIONING), 0))
        added = self.called(self.cells.CreateCell(wanted, None), None)  # type: ignore[arg-type]
        assert added is None, "its id was used"

    @invariant()
    def who_is_done_owns_nothing(self) -> None:
        Lifecycle.seen |= {found.state for found in self.view.cells.values()}
        for number in (1, 2, 3):
            found = self.view.cells.get(number)
            if found is None:
                assert number in self.view.retired
            if found is None or found.state in EMPTY:
                assert self.follower.index.owned_by(number) == (0, 0), found


def test_no_cell_that_is_done_owns_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_RECORDS_WHOLE", 1)
    monkeypatch.setattr(plan, "MAX_RECORDS_PART", 1)
    Lifecycle.seen, Lifecycle.refused_for_claims = set(), 0

    run_state_machine_as_test(
        Lifecycle, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )

    assert Lifecycle.seen >= {CellState.DRAINING, CellState.DRAINED}, "none came so far"
    assert Lifecycle.refused_for_claims, "no claim was ever in the way"
