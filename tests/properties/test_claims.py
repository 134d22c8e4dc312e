"""Claims behave like their model, whatever the order of calls; concurrent calls like one after the other."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.etcd_server import EtcdServer
from tests.linearizable import Call, is_linearizable
from tests.properties.claim_model import ClaimModel, Owned
from tests.topology.claims.samples import OWNER, TestClock, batch, route
from topology.claims import plan
from topology.claims.index import ClaimIndex, RecordQuery
from topology.claims.keys import ClaimKeyspace
from topology.claims.model import ClaimBatch, Lease, Metadata, Phase, Record, Subject
from topology.claims.store import Begun, ClaimStore, Closed, Obstructed, WrongCell
from topology.claims.stored import StoredClaims
from topology.claims.transfer import Hindered, Transferred, TransferWish
from topology.errors import OutcomeUnknown, StoreUnavailable
from topology.etcd import EtcdStore
from topology.group_commit import GroupCommit
from topology.keys import Keyspace
from topology.memory import MemoryStore
from topology.store import Committed, Conflict, Txn

T = TypeVar("T")
VALUES = ["a", "b", "c"]
MANY = 2  # so many records stand for a value
_numbers = itertools.count(1)


class DyingStore(MemoryStore):
    """Dies after so many writes, with the answer of the last one lost."""

    writes_left: int | None = None

    async def commit(self, txn: Txn) -> Committed | Conflict:
        if not (txn.puts or txn.deletes) or self.writes_left is None:
            return await super().commit(txn)
        if self.writes_left == 0:
            raise StoreUnavailable("dead")
        outcome = await super().commit(txn)
        self.writes_left -= 1
        if self.writes_left == 0:
            raise OutcomeUnknown("dead")
        return outcome


class Claims(RuleBasedStateMachine):
    """Cells, claims, leases and writers that die; after each step everything is as the model says."""

    keyspace = ClaimKeyspace.beside(Keyspace("/properties"))

    def __init__(self) -> None:
        super().__init__()
        self.store = DyingStore()
        self.clock = TestClock()
        self.claims = StoredClaims(self.store, self.keyspace, clock=self.clock)
        self.model = ClaimModel()
        self.index = ClaimIndex()
        self.closed: list[str] = []
        self.runner = asyncio.Runner()
        self.index.load(self.run(self.claims.list()))

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())

    def teardown(self) -> None:
        self.runner.close()

    @rule(
        cell_id=st.integers(1, 2),
        creates=st.frozensets(st.sampled_from(VALUES), max_size=2),
        destroys=st.frozensets(st.sampled_from(VALUES), max_size=2),
        dies_after=st.none() | st.integers(0, 6),
    )
    def begin(
        self, cell_id: int, creates: frozenset[str], destroys: frozenset[str], dies_after: int | None
    ) -> None:
        if not creates | destroys or creates & destroys:
            return
        self.store.writes_left = dies_after
        wanted = of_their_owners(batch(cell_id, members(creates), members(destroys)))
        try:
            outcome = self.run(self.claims.begin(wanted, "CELL"))
        except StoreUnavailable:
            self.recover()
            found = self.run(self.claims.list())
            known = set(self.model.leases)
            opened = {
                each.uuid for each in found.entries if isinstance(each, Lease) and each.phase is Phase.OPEN
            }
            for lease in opened - known:  # the answer got lost
                self.model.begin(lease, cell_id, creates, destroys)
        else:
            self.store.writes_left = None
            refused = self.model.refuses(cell_id, creates, destroys)
            assert isinstance(outcome, Obstructed if refused else Begun)
            if isinstance(outcome, Begun):
                self.model.begin(outcome.lease.uuid, cell_id, creates, destroys)

    @precondition(lambda self: self.model.leases or self.closed)
    @rule(
        data=st.data(),
        cell_id=st.integers(1, 2),
        commit=st.booleans(),
        dies_after=st.none() | st.integers(0, 4),
    )
    def close(self, data: st.DataObject, cell_id: int, commit: bool, dies_after: int | None) -> None:
        lease = data.draw(st.sampled_from([*self.model.leases, *self.closed]))
        close = self.claims.commit if commit else self.claims.rollback
        self.store.writes_left = dies_after
        try:
            outcome = self.run(close(cell_id, lease, "CELL"))
        except StoreUnavailable:
            self.recover()
            # Decided or not: closing it again ends it, the way it was decided if it was.
            record = next(
                (each for each in self.run(self.claims.list()).entries if getattr(each, "uuid", "") == lease),
                None,
            )
            if record is None and self.model.close(lease, cell_id, commit=commit):
                self.closed.append(lease)
            return
        finally:
            self.store.writes_left = None
        if self.model.leases.get(lease, cell_id) != cell_id:
            assert outcome == WrongCell(lease, self.model.leases[lease])
        else:
            assert isinstance(outcome, Closed)
            assert outcome.found == self.model.close(lease, cell_id, commit=commit)
            self.closed.append(lease)

    @rule(
        value=st.sampled_from(VALUES),
        source=st.integers(1, 2),
        late=st.sampled_from([0, 0, 0, 1]),
        dies_after=st.none() | st.integers(0, 9),
    )
    def transfer(self, value: str, source: int, late: int, dies_after: int | None) -> None:
        """Move an owner, mostly at the epoch that it is at."""
        epoch = self.model.owners.get(value, (0, 1))[1] + late
        wish = TransferWish(
            id=str(uuid.uuid4()), owners=((owner_of(value), epoch),), from_cell=source, to_cell=3 - source
        )
        self.store.writes_left = dies_after
        try:
            outcome = self.run(self.claims.transfer(wish, "ADMIN"))
        except StoreUnavailable:
            self.recover()
            owner = self.run(self.claims.owner(owner_of(value)))
            if owner is not None and owner.epoch == epoch + 1:
                assert self.model.transfer(value, source, 3 - source, epoch)
        else:
            moved = self.model.transfer(value, source, 3 - source, epoch)
            assert isinstance(outcome, Transferred if moved else Hindered)
        finally:
            self.store.writes_left = None

    @rule()
    def another_replica_takes_over(self) -> None:
        self.claims = StoredClaims(self.store, self.keyspace, clock=self.clock)

    def recover(self) -> None:
        """Do what the service does about a dead writer."""
        self.store.writes_left = None
        self.clock.advance(minutes=1)
        self.another_replica_takes_over()
        fresh = ClaimIndex()
        fresh.load(self.run(self.claims.list()))
        for lease in fresh.unfinished():
            self.run(self.claims.settle(lease))

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        fresh = ClaimIndex()
        fresh.load(self.run(self.claims.list()))
        self.run(self.follow())
        for index in (fresh, self.index):
            assert set(index.leases) == set(self.model.leases)
            moved = {value: index.owners.get(owner_of(value)) for value in VALUES}
            assert self.model.owners == {
                value: (owner.cell_id, owner.epoch) for value, owner in moved.items() if owner
            }
            assert index.unfinished() == ()
            assert not index.odd
            for value in VALUES:
                for member in members([value]):
                    found = index.find(route(member))
                    assert (found and (found.cell_id, found.status.value)) == self.model.status(value)
        for cell_id in (1, 2):
            assert fresh.records(RecordQuery(cell_id=cell_id)) == self.index.records(
                RecordQuery(cell_id=cell_id)
            )

    async def follow(self) -> None:
        watch = self.claims.watch(self.index.cursor)
        async for changes in watch:
            self.index.apply(changes)
            if self.index.cursor >= self.store.revision:
                break
        await watch.aclose()


def owner_of(value: str) -> Subject:
    return OWNER._replace(id=100 + VALUES.index(value))


def of_their_owners(wanted: ClaimBatch) -> ClaimBatch:
    """Give each value an owner of its own."""

    def owned(claims: tuple[Metadata, ...]) -> tuple[Metadata, ...]:
        return tuple(each._replace(subject=owner_of(each.bucket.value[0])) for each in claims)

    return replace(wanted, creates=owned(wanted.creates), destroys=owned(wanted.destroys))


def members(values: Any) -> list[str]:
    return [f"{value}-{number}" for value in values for number in range(MANY)]


def test_claims_behave_like_their_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions are made small, so that two values take a lease in parts."""
    monkeypatch.setattr(plan, "MAX_RECORDS_WHOLE", 3)
    monkeypatch.setattr(plan, "MAX_RECORDS_PART", 2)
    run_state_machine_as_test(
        Claims, settings=settings(max_examples=60, stateful_step_count=15, deadline=None)
    )


# Concurrent calls on a real etcd

_State = frozenset[tuple[str, Owned]]


def step(state: tuple[_State, frozenset[tuple[str, int]]], asked: Any, answered: Any) -> tuple[bool, Any]:
    """Do one call on the model."""
    model = ClaimModel(dict(state[0]), dict(state[1]))
    right = True
    match asked:
        case "begin", cell_id, creates, destroys:
            refused = model.refuses(cell_id, creates, destroys)
            right = refused == (answered == "refused")
            if not refused and right:
                model.begin(answered, cell_id, creates, destroys)
        case "close", cell_id, lease, commit:
            right = model.close(lease, cell_id, commit=commit) == answered
        case "get", value:
            right = model.status(value) == answered
    return right, (frozenset(model.claims.items()), frozenset(model.leases.items()))


async def client(store: ClaimStore, cell_id: int, chance: random.Random, history: list[Call]) -> None:
    """Make calls at random and note them down."""
    held: list[str] = []
    for _ in range(9):
        began = time.monotonic()
        asked: Any
        answered: Any
        if held and chance.random() < 0.6:
            asked = ("close", cell_id, held.pop(), chance.random() < 0.6)
            outcome = await (store.commit if asked[3] else store.rollback)(cell_id, asked[2], "CELL")
            answered = isinstance(outcome, Closed) and outcome.found
        elif chance.random() < 0.3:
            asked = ("get", chance.choice(VALUES))
            found = await store.get(route(asked[1]))
            answered = (found.cell_id, found.status.value) if isinstance(found, Record) else None
        else:
            first, second = chance.sample(VALUES, 2)
            kind = chance.random()
            creates = frozenset({first} if kind < 0.7 else ())
            destroys = frozenset(({second} if kind < 0.2 else ()) if creates else {first})
            asked = ("begin", cell_id, creates, destroys)
            begun = await store.begin(batch(cell_id, sorted(creates), sorted(destroys)), "CELL")
            answered = begun.lease.uuid if isinstance(begun, Begun) else "refused"
            held += [answered] if isinstance(begun, Begun) else []
        history.append(Call(asked, answered, began, time.monotonic()))


class CountingGroups(GroupCommit):
    """Counts the commits that had to wait for others, together or not."""

    waited = 0

    async def _sent(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        self.waited += len(txns)
        return await super()._sent(txns)


@pytest.mark.parametrize("seed", range(6))
async def test_concurrent_calls_are_linearizable(etcd: EtcdServer, etcd_prefix: str, seed: int) -> None:
    """Four clients at two replicas: what both of one do at the same moment, it writes together."""
    keyspace = ClaimKeyspace.beside(Keyspace(etcd_prefix))
    stores = [EtcdStore([etcd.endpoint]) for _ in range(2)]
    history: list[Call] = []
    async with asyncio.TaskGroup() as running:
        replicas = [CountingGroups(store) for store in stores]
        runs = [running.create_task(replica.run()) for replica in replicas]
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                claims = StoredClaims(replicas[number % 2], keyspace)
                chance = random.Random(f"{seed}-{number}")
                tasks.create_task(client(claims, 1 + number // 2, chance, history))
        for run in runs:
            run.cancel()
    for store in stores:
        await store.close()
    assert len(history) == 36
    assert any(call.answered == "refused" for call in history), "nobody was ever in anybody's way"
    assert sum(replica.waited for replica in replicas), "nobody ever waited for anybody"
    assert is_linearizable(history, (frozenset(), frozenset()), step)


def test_the_check_finds_a_claim_owned_twice() -> None:
    both = [
        Call(("begin", cell_id, frozenset({"a"}), frozenset()), f"lease-{cell_id}", 0.0, 1.0)
        for cell_id in (1, 2)
    ]
    assert not is_linearizable(both, (frozenset(), frozenset()), step)
    assert is_linearizable(both[:1], (frozenset(), frozenset()), step)
