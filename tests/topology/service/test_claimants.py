"""Which cell may begin a batch, and which owns nothing any more, while others begin, change and end cells.

Two replicas on one store, called as gRPC would call them; claims in etcd, in PostgreSQL, or in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from pb.cellplane.topology.v1 import cells_pb2
from pb.gitlab.cells.topology_service.claims.v1 import service_pb2
from tests.etcd_server import EtcdServer
from tests.postgresql_server import NEEDS_POSTGRESQL, PostgresServer
from tests.topology.samples import cell
from tests.topology.service.stage import EAGER
from tests.topology.service.test_claim_service import request
from topology.claims.follower import ClaimFollower
from topology.claims.index import ClaimIndex
from topology.claims.keys import ClaimKeyspace
from topology.claims.store import Begins, ClaimStore
from topology.claims.stored import StoredClaims
from topology.claims_postgresql.address import Address
from topology.claims_postgresql.connection import Database
from topology.claims_postgresql.migration import migrate
from topology.claims_postgresql.store import PostgresClaims
from topology.codec import encode
from topology.etcd import EtcdStore
from topology.group_commit import GroupCommit
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.model import CellState
from topology.service.cells_service import CellsService
from topology.service.cells_wire import cell_message, state_number
from topology.service.claim_service import ClaimService
from topology.service.failure import Failure
from topology.service.gate import acting_as
from topology.service.identity import Caller, Role
from topology.service.sources import Sources
from topology.store import Batch, Committed, Compare, Conflict, GroupingStore, Store, Txn
from topology.watcher import Watcher

ADMIN = Caller(Role.ADMIN, "ADMIN")
NOBODY = None
ROUNDS = 8
T = TypeVar("T")


@dataclass
class Held:
    """A write that is about to be made."""

    came: asyncio.Event
    go: asyncio.Event


class Late:
    """A store whose watchers are told nothing until they are let, and which makes a write wait where one is
    `held`.
    """

    def __init__(self, store: Store) -> None:
        self.list, self.close = store.list, store.close
        self._store = store
        self.told = asyncio.Event()
        self.told.set()
        self.held: Held | None = None

    async def commit(self, txn: Txn) -> Committed | Conflict:
        if txn.puts and self.held is not None:
            held, self.held = self.held, None
            held.came.set()
            await held.go.wait()
        return await self._store.commit(txn)

    async def watch(self, prefix: str, after: int) -> AsyncGenerator[Batch, None]:
        async for batch in self._store.watch(prefix, after):
            await self.told.wait()
            yield batch


@dataclass
class Replica:
    """A replica's services, and what it follows."""

    store: Late
    claims: ClaimStore
    cells: CellsService
    service: ClaimService
    watcher: Watcher
    follower: ClaimFollower

    async def move(self, cell_id: int, to: CellState) -> None:
        over = Duration() if to is CellState.DRAINING else None
        wanted = cells_pb2.TransitionCellRequest(id=cell_id, state=state_number(to), over=over)
        await self.cells.TransitionCell(wanted, NOBODY)  # type: ignore[arg-type]

    async def begin(self, cell_id: int, *names: str) -> service_pb2.BeginUpdateResponse:
        return await self.service.BeginUpdate(request(cell_id, names), NOBODY)  # type: ignore[arg-type]

    async def roll_back(self, cell_id: int, begun: service_pb2.BeginUpdateResponse) -> None:
        wanted = service_pb2.RollbackUpdateRequest(cell_id=cell_id, lease_uuid=begun.lease_uuid)
        await self.service.RollbackUpdate(wanted, NOBODY)  # type: ignore[arg-type]


async def on_record(claims: ClaimStore, cell_id: int) -> tuple[int, int]:
    index = ClaimIndex()
    index.load(await claims.list())
    return index.owned_by(cell_id)


def with_postgresql(database: Database, store: Store) -> PostgresClaims:
    async def stands(fence: tuple[Compare, ...]) -> bool:
        return isinstance(await store.commit(Txn(compares=fence)), Committed)

    return PostgresClaims(database, stands=stands)


@asynccontextmanager
async def replicas(
    base: GroupingStore, keyspace: Keyspace, database: Database | None
) -> AsyncIterator[list[Replica]]:
    """Run two."""
    states = {1: CellState.ACTIVE, 2: CellState.DRAINING, 3: CellState.ACTIVE}
    puts = tuple((keyspace.cell(number), encode(cell(number, state))) for number, state in states.items())
    await base.commit(Txn(puts=puts))
    found, running = [], []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            store = Late(base)
            together = GroupCommit(base)
            running.append(tasks.create_task(together.run()))
            claims: ClaimStore = StoredClaims(together, ClaimKeyspace.beside(keyspace))
            if database is not None:
                claims = with_postgresql(database, base)
            watcher, follower = Watcher(store, keyspace, backoff=EAGER), ClaimFollower(claims, backoff=EAGER)
            sources = Sources(lambda w=watcher: w.view, follower, reached=watcher.reached)  # type: ignore[misc]
            running += [tasks.create_task(watcher.run(lambda _: None)), tasks.create_task(follower.run())]
            await follower.reached(0)
            await watcher.reached(0)
            found.append(
                Replica(
                    store,
                    claims,
                    CellsService(sources, claims, store, keyspace),
                    ClaimService(sources, claims, store),
                    watcher,
                    follower,
                )
            )
        try:
            with acting_as(ADMIN):
                yield found
        finally:
            for task in running:
                task.cancel()


@pytest.fixture(params=["memory", "etcd", pytest.param("postgresql", marks=NEEDS_POSTGRESQL)])
def home(request: pytest.FixtureRequest) -> tuple[EtcdServer | None, PostgresServer | None]:
    """Start what the replicas are on, before an event loop runs."""
    etcd = None if request.param == "memory" else request.getfixturevalue("etcd")
    return etcd, request.getfixturevalue("postgresql") if request.param == "postgresql" else None


@pytest.fixture
async def pair(
    home: tuple[EtcdServer | None, PostgresServer | None], etcd_prefix: str
) -> AsyncIterator[list[Replica]]:
    etcd, postgresql = home
    store: GroupingStore = MemoryStore() if etcd is None else EtcdStore([etcd.endpoint])
    database = None
    if postgresql is not None:
        database = Database(Address(await postgresql.schema()))
        await migrate(database)
    async with replicas(store, Keyspace(etcd_prefix), database) as found:
        yield found
    if database is not None:
        await database.close()
    await store.close()


async def test_begins_race_the_end_of_their_cell_and_none_slips_past_it(pair: list[Replica]) -> None:
    """Again and again, both replicas begin for cell 2 while it is ended: one of both, or the other."""
    ended = 0
    for number in range(ROUNDS):
        async with asyncio.TaskGroup() as tasks:
            begins = [
                tasks.create_task(tried(after(at, pair[at % 2].begin(2, f"n{number}-{at}"))))
                for at in range(8)
            ]
            end = tasks.create_task(tried(after(number, pair[number % 2].move(2, CellState.DRAINED))))
        failed = end.result()
        held = [
            outcome
            for each in begins
            if isinstance(outcome := each.result(), service_pb2.BeginUpdateResponse)
        ]
        told = {each.reason for task in begins if isinstance(each := task.result(), Failure)}
        assert await on_record(pair[0].claims, 2) == (len(held), len(held))
        assert told <= {"CELL_STATE"}
        if isinstance(failed, Failure):
            assert {each.field for each in failed.problems} == {"claims"}, failed
        else:
            ended += 1
            assert not held
            await pair[0].move(2, CellState.CANARY)
            await pair[0].move(2, CellState.DRAINING)
        for each in held:
            await pair[0].roll_back(2, each)
    while isinstance(await tried(pair[1].move(2, CellState.DRAINED)), Failure):
        await asyncio.sleep(0.01)  # it has not heard of the last roll-back
    assert ended < ROUNDS, "a begin was first at least once"


async def test_a_begin_between_the_last_look_and_the_write_that_ends_its_cell(pair: list[Replica]) -> None:
    """In etcd the begin is done first, and the write that comes then finds it; in PostgreSQL it waits."""
    one, other = pair
    waits = isinstance(other.claims, PostgresClaims)
    held = one.store.held = Held(asyncio.Event(), asyncio.Event())
    async with asyncio.TaskGroup() as tasks:
        end = tasks.create_task(tried(one.move(2, CellState.DRAINED)))
        await held.came.wait()
        begin = tasks.create_task(tried(other.begin(2, "a")))
        await asyncio.wait({begin}, timeout=0.2 if waits else 30)
        held.go.set()
    ended, begun = end.result(), begin.result()
    if waits:
        assert (ended, isinstance(begun, Failure) and begun.reason) == (None, "CELL_STATE")
    else:
        assert isinstance(begun, service_pb2.BeginUpdateResponse)
        assert isinstance(ended, Failure)
        assert {each.field for each in ended.problems} == {"claims"}
    assert await on_record(one.claims, 2) == ((0, 0) if waits else (1, 1))


async def after(turns: int, work: Awaitable[T]) -> T:
    """Let the others have so many turns first."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return await work


async def tried(work: Awaitable[T]) -> T | Failure:
    try:
        return await work
    except Failure as failure:
        return failure


async def test_who_has_not_heard_of_the_end_begins_nothing(pair: list[Replica]) -> None:
    one, late = pair
    late.store.told.clear()
    await one.move(2, CellState.DRAINED)
    assert late.watcher.view is not None
    assert late.watcher.view.cells[2].state is CellState.DRAINING
    async with asyncio.TaskGroup() as tasks:
        begin = tasks.create_task(failing(late.begin(2, "a")))
        while not (begin.done() or late.store.told.is_set()):
            await asyncio.sleep(0.01)
            late.store.told.set()
    assert begin.result().reason == "CELL_STATE"
    assert await on_record(one.claims, 2) == (0, 0)


async def test_who_made_a_cell_claims_for_it_at_once_at_any_replica(pair: list[Replica]) -> None:
    one, late = pair
    late.store.told.clear()
    made = cells_pb2.CreateCellRequest(cell=cell_message(cell(7, CellState.PROVISIONING), 0))
    await one.cells.CreateCell(made, NOBODY)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        begin = tasks.create_task(late.begin(7, "a"))
        await asyncio.sleep(0)
        assert late.watcher.view is not None
        assert 7 not in late.watcher.view.cells
        late.store.told.set()
    assert begin.result().cell_id == 7
    assert await on_record(late.claims, 7) == (1, 1)


async def test_a_change_that_matters_to_no_claim_is_in_no_begins_way(pair: list[Replica]) -> None:
    one, late = pair
    late.store.told.clear()
    await one.cells.SetCellWeight(cells_pb2.SetCellWeightRequest(id=1, weight=7), NOBODY)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        begin = tasks.create_task(late.begin(1, "a"))
        await asyncio.sleep(0)
        late.store.told.set()
    assert begin.result().cell_id == 1


async def test_begins_of_one_cell_are_in_nobodys_way(pair: list[Replica]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(pair[number % 2].begin(1, f"n{number}"))
    assert await on_record(pair[0].claims, 1) == (20, 20)


@pytest.mark.parametrize("home", ["memory", "etcd"], indirect=True)
async def test_a_cell_that_begins_nothing_keeps_its_mark_and_the_next_begins_delete_it(
    pair: list[Replica],
) -> None:
    """Several at once, which etcd does as one: the mark is gone, and who relied on it finds that."""

    async def marked(begins: Callable[[], Awaitable[Begins]]) -> list[Begins]:
        seen = [await begins(), await begins()]
        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(pair[1].begin(3, f"m{number}"))
        return [*seen, await begins()]

    first, again, later = await pair[0].claims.quiet((2, 3), marked)
    assert again == first
    assert later.compares[0] == first.compares[0], "cell 2 began nothing"
    (_, before), (_, now) = first.compares, later.compares
    assert isinstance(await pair[0].store.commit(Txn((before,), (("/never", b""),))), Conflict)
    assert isinstance(await pair[0].store.commit(Txn((now,))), Committed)
    assert later.cursor == now.mod_revision > before.mod_revision
    await pair[0].follower.reached(later.cursor)
    assert pair[0].follower.index.owned_by(3) == (6, 6)


async def test_what_is_not_there_is_told_and_not_waited_for(pair: list[Replica]) -> None:
    unknown = await failing(pair[0].begin(9, "a"))
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CELL_UNKNOWN")


async def test_a_replica_that_stays_behind_says_so(
    pair: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topology.service.claimants.KNOWN_WITHIN", 0.05)
    one, late = pair
    late.store.told.clear()
    await one.move(2, CellState.DRAINED)
    behind = await failing(late.begin(2, "a"))
    assert (behind.code, behind.reason) == (grpc.StatusCode.UNAVAILABLE, "BEHIND")
    late.store.told.set()


async def failing(call: Awaitable[object]) -> Failure:
    with pytest.raises(Failure) as failed:
        await call
    return failed.value
