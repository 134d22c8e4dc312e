"""Moves on a store in memory: replicas that campaign, an application and a fleet that say what a test lets
them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.processes import eventually
from tests.topology.claims.samples import batch
from tests.topology.samples import cell
from topology.apply import read_view
from topology.claims.follower import ClaimFollower
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import Subject, SubjectType
from topology.claims.store import Begun
from topology.claims.stored import StoredClaims
from topology.codec import encode
from topology.departing import departing
from topology.fenced_store import FencedStore
from topology.keys import Keyspace
from topology.leader import Campaign, Leadership
from topology.memory import MemoryStore
from topology.model import Stamp
from topology.moves import machine
from topology.moves.book import MoveBook, SeenMove
from topology.moves.crossing import Crossing
from topology.moves.fleet import Reached
from topology.moves.freezing import Freezer
from topology.moves.hooks import HookOutcome, Ready, call_body
from topology.moves.model import Happened, Move, Order, Step
from topology.moves.runner import ROLE, MoveRunner
from topology.moves.works import Works
from topology.service.announcements import Announcements
from topology.service.departure_gate import DepartureGate
from topology.store import LeasingStore, Store, Txn
from topology.view import View
from topology.watcher import Watcher

ACME = Subject(SubjectType.ORGANIZATION, 42)
MOVE = "9b2f0a86-1f0e-4d6a-9a39-6f2b7a0c1d11"
OTHER_MOVE = "11111111-1f0e-4d6a-9a39-6f2b7a0c1d11"
STAMP = Stamp(updated_by="ada", updated_at="2026-03-01T12:00:00.000000Z", reason="room")
_numbers = itertools.count(1)


def wish(move_id: str = MOVE, **changes: Any) -> Move:
    """Give a move of ORGANIZATION/42 from cell 1 to cell 2, with whatever a test says otherwise."""
    plain = Move(id=move_id, owners=(("ORGANIZATION/42", 1),), from_cell=1, to_cell=2, since="", stamp=STAMP)
    return replace(plain, **changes)


class ScriptedHooks:
    """An application: at each step it answers what a test says, else that it is ready. It counts keys."""

    def __init__(self) -> None:
        self.answers: dict[Step, list[HookOutcome]] = {}
        self.calls: Counter[str] = Counter()
        self.holding: dict[Step, asyncio.Event] = {}

    def told(self, step: Step, /) -> str:
        return f"call {step.lower()}" if step in self.answers else ""

    async def call(self, move: Move, /) -> HookOutcome:
        self.calls[str(call_body(move)["key"]).partition("/")[2]] += 1
        if (gate := self.holding.get(move.step)) is not None:
            await gate.wait()
        script = self.answers.get(move.step)
        if not script:
            return Ready()
        return script.pop(0) if len(script) > 1 else script[0]


@dataclass
class ScriptedFleet:
    """A fleet that has acknowledged everything, unless a test says who has not."""

    envoys: int = 3
    behind: tuple[str, ...] = ()
    problem: str = ""
    asked: list[int] = field(default_factory=list)

    async def reached(self, revision: int, /) -> Reached:
        self.asked.append(revision)
        return Reached(self.envoys, self.behind, self.problem)


@dataclass
class Clock:
    """A clock that runs forty times as fast as others, and that a test turns."""

    ahead: timedelta = timedelta()
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.began + (datetime.now(UTC) - self.began) * 40 + self.ahead


@dataclass
class Rig:
    """A store with cells 1, 2 and 3 and claims of ORGANIZATION/42 in cell 1, and replicas beside it."""

    store: LeasingStore
    keyspace: Keyspace
    tasks: asyncio.TaskGroup
    claims: StoredClaims
    watcher: Watcher
    follower: ClaimFollower
    hooks: ScriptedHooks = field(default_factory=ScriptedHooks)
    fleet: ScriptedFleet = field(default_factory=ScriptedFleet)
    clock: Clock = field(default_factory=Clock)
    running: list[asyncio.Task[None]] = field(default_factory=list)
    runners: list[MoveRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book = MoveBook(self.store, self.keyspace)

    @property
    def view(self) -> View:
        assert self.watcher.view is not None
        return self.watcher.view

    def crossing(self, claims: StoredClaims, store: Store) -> Crossing:
        gate = DepartureGate(claims, store, self.keyspace, 1.0)
        return Crossing(claims, gate, self.follower, lambda: self.view, lambda: self.follower.index)

    def works(self, who: str, wrap: Callable[[LeasingStore], LeasingStore]) -> Callable[[Leadership], Works]:
        def works(leader: Leadership) -> Works:
            store = wrap(self.store)
            fenced = FencedStore(store, leader)
            claims = StoredClaims(fenced, ClaimKeyspace.beside(self.keyspace))
            announcements = Announcements(claims, fenced, self.keyspace)
            return Works(
                crossing=self.crossing(claims, fenced),
                freezer=Freezer(announcements, fenced, self.keyspace, self.follower),
                fleet=self.fleet,
                hooks=self.hooks,
                clock=self.clock,
                who=who,
            )

        return works

    def joins(
        self, who: str, wrap: Callable[[LeasingStore], LeasingStore] = lambda store: store
    ) -> asyncio.Task[None]:
        """Start a replica that campaigns. Cancelled it gives the lead back; a store that is cut keeps it."""
        store = wrap(self.store)
        campaign = Campaign(store, self.keyspace, ROLE, who, lease_seconds=2)
        runner = MoveRunner(campaign, store, MoveBook(store, self.keyspace), self.works(who, wrap), 0.05)
        self.runners.append(runner)
        task = self.tasks.create_task(runner.run())
        self.running.append(task)
        return task

    async def begin(self, move: Move | None = None) -> SeenMove:
        begun = await self.book.begin(machine.begun(move or wish(), self.clock()))
        assert isinstance(begun, SeenMove)
        return begun

    async def say(self, order: Order, move_id: str = MOVE) -> None:
        written = await self.book.change(move_id, lambda move: machine.told(move, order, STAMP))
        assert written is not None

    async def move(self, move_id: str = MOVE) -> Move:
        seen = await self.book.read(move_id)
        assert seen is not None
        return seen.move

    async def until(self, look: Callable[[Move], bool], wanted: str, move_id: str = MOVE) -> Move:
        async def seen() -> Move | None:
            move = await self.move(move_id)
            return move if look(move) else None

        found = await eventually(seen, wanted, within=30)
        assert found is not None
        return found

    async def at(self, step: Step, waiting: str = "", move_id: str = MOVE) -> Move:
        """Wait until the move is at a step, and waits for something that holds these words."""
        return await self.until(
            lambda move: move.step is step and (not waiting or waiting in move.waiting),
            f"the move to be at {step}, waiting for {waiting!r}",
            move_id,
        )

    async def called(self, step: Step) -> None:
        """Wait until the application is called at a step."""

        async def so() -> bool:
            return bool(self.hooks.calls[step.value])

        await eventually(so, f"a call at {step}", within=30)

    async def place(self) -> tuple[int, int]:
        """Say in which cell the owner is, and at which epoch."""
        owner = await self.claims.owner(ACME)
        return (owner.cell_id, owner.epoch) if owner else (1, 1)

    async def frozen(self) -> list[str]:
        """List the owners that their cells refuse writes for, with their cells."""
        found = departing(await read_view(self.store, self.keyspace)).values()
        return [f"{each.owner} in {each.from_cell}" for each in found]


def done(move: Move) -> list[Step]:
    """List the steps that are done, in the order in which they were."""
    return [entry.step for entry in move.history if entry.what is Happened.DONE]


@asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    """Set the rig up; what runs ends with the block."""
    store = MemoryStore()
    keyspace = Keyspace(f"/moves-{next(_numbers)}")
    claims = StoredClaims(store, ClaimKeyspace.beside(keyspace))
    await store.commit(Txn(puts=tuple((keyspace.cell(each), encode(cell(each))) for each in (1, 2, 3))))
    begun = await claims.begin(batch(1, ("acme", "acme/web"), subject=ACME), "CELL-1")
    assert isinstance(begun, Begun)
    await claims.commit(1, begun.lease.uuid, "CELL-1")
    watcher, follower = Watcher(store, keyspace), ClaimFollower(claims)
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        rig = Rig(store, keyspace, tasks, claims, watcher, follower)
        rig.running += [tasks.create_task(watcher.run(lambda _: None)), tasks.create_task(follower.run())]
        await follower.reached(0)

        async def read() -> bool:
            return watcher.view is not None

        await eventually(read, "a View")
        yield rig
        for running in rig.running:
            running.cancel()
    await store.close()
