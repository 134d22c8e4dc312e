"""The contract of elections: one suite, over memory and over a real etcd."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.contract.test_claim_store import base
from topology.errors import OutcomeUnknown, StoreUnavailable
from topology.keys import Keyspace
from topology.leader import LEASE_SECONDS, Campaign, Leadership
from topology.memory import Faults, MemoryStore
from topology.store import Committed, Conflict, LeasingStore, Txn

__all__ = ["base"]
_numbers = itertools.count(1)


class Line:
    """A store whose line can be cut: then no call is ever answered, as after a kill -9 or a pulled plug."""

    def __init__(self, store: LeasingStore, loses_answers: int) -> None:
        self._store = store
        self.cut = False
        self.loses_answers = loses_answers
        self.list = store.list
        self.watch = store.watch
        self.grant = store.grant
        self.close = store.close

    async def commit(self, txn: Txn) -> Committed | Conflict:
        outcome = await self._store.commit(txn)
        if self.loses_answers:
            self.loses_answers -= 1
            raise OutcomeUnknown("the answer got lost")
        return outcome

    async def keep_alive(self, lease: int) -> None:
        await self._answers()
        await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        await self._answers()
        await self._store.revoke(lease)

    async def _answers(self) -> None:
        if self.cut:
            raise StoreUnavailable("the line is cut")


@dataclass
class Replica:
    """Somebody who campaigns, and what it did."""

    store: Line
    campaign: Campaign
    led: list[Leadership] = field(default_factory=list)
    leading: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def lead(self, leadership: Leadership) -> None:
        self.led.append(leadership)
        self.leading.set()
        self.stopped.clear()
        try:
            await self.enough.wait()
        finally:
            self.leading.clear()
            self.stopped.set()


@dataclass
class Election:
    """A role, and those who want it."""

    base: LeasingStore
    keyspace: Keyspace
    tasks: asyncio.TaskGroup
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def joins(self, who: str, loses_answers: int = 0) -> Replica:
        line = Line(self.base, loses_answers)
        replica = Replica(line, Campaign(line, self.keyspace, "moves", who, lease_seconds=2))
        self.running.append(self.tasks.create_task(replica.campaign.run(replica.lead)))
        return replica


@asynccontextmanager
async def election(store: LeasingStore) -> AsyncIterator[Election]:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        vote = Election(store, Keyspace(f"/election-{next(_numbers)}"), tasks)
        yield vote
        for running in vote.running:
            running.cancel()
    await store.close()


async def test_one_leads_and_the_next_follows_at_once(base: LeasingStore) -> None:
    async with election(base) as vote:
        first = vote.joins("first")
        await first.leading.wait()
        second = vote.joins("second")
        (record,) = (await base.list(f"{vote.keyspace.prefix}-leaders/")).records
        assert json.loads(record.value)["who"] == "first"
        assert first.led == [Leadership(record.key, record.create_revision)]
        assert first.campaign.leadership == first.led[0]
        assert (second.led, second.campaign.leadership) == ([], None)
        first.enough.set()  # its work is done, and it gives the lease back
        await second.leading.wait()
        assert second.led[0].token > first.led[0].token
        assert first.campaign.leadership is None


async def test_of_many_at_once_one_leads(base: LeasingStore) -> None:
    async with election(base) as vote:
        replicas = [vote.joins(f"replica-{number}") for number in range(5)]
        for _ in replicas:
            waiting = [
                asyncio.ensure_future(each.leading.wait()) for each in replicas if not each.enough.is_set()
            ]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            (leader,) = [each for each in replicas if each.leading.is_set()]
            leader.enough.set()
            await leader.stopped.wait()
        tokens = [each.led[0].token for each in replicas]
        assert len(set(tokens)) == 5


async def test_fenced_a_leader_of_the_past_writes_nothing(base: LeasingStore) -> None:
    async with election(base) as vote:
        first = vote.joins("first")
        await first.leading.wait()
        write = Txn(puts=((f"{vote.keyspace.prefix}/x", b"1"),))
        assert isinstance(await base.commit(first.led[0].fenced(write)), Committed)
        first.enough.set()
        await first.stopped.wait()
        second = vote.joins("second")
        await second.leading.wait()
        late = await base.commit(first.led[0].fenced(write))
        assert isinstance(late, Conflict)
        assert late.keys == (first.led[0].key,)
        assert isinstance(await base.commit(second.led[0].fenced(write)), Committed)


async def test_a_leader_that_hears_nothing_stops_before_another_can_begin(base: LeasingStore) -> None:
    """As after a kill -9, but that the dead one is still watched: it stops, and only then the next begins."""
    assert LEASE_SECONDS <= 5  # with what etcd adds, another leads within ten seconds
    async with election(base) as vote:
        first = vote.joins("first")
        await first.leading.wait()
        second = vote.joins("second")
        first.store.cut = True
        stopping = asyncio.ensure_future(first.stopped.wait())
        beginning = asyncio.ensure_future(second.leading.wait())
        await asyncio.wait([stopping, beginning], return_when=asyncio.FIRST_COMPLETED)
        assert stopping.done()
        assert not beginning.done()
        if isinstance(base, MemoryStore):  # its leases end when somebody ends them
            await base.revoke(1)
        await beginning
        assert second.led[0].token > first.led[0].token


async def test_a_lease_that_is_over_ends_the_leadership() -> None:
    store = MemoryStore()
    async with election(store) as vote:
        first = vote.joins("first")
        await first.leading.wait()
        await store.revoke(1)
        await first.stopped.wait()
        await first.leading.wait()
        assert len(first.led) == 2


async def test_an_election_whose_answer_got_lost_is_won_once(base: LeasingStore) -> None:
    async with election(base) as vote:
        replica = vote.joins("first", loses_answers=1)
        await replica.leading.wait()
        (record,) = (await base.list(f"{vote.keyspace.prefix}-leaders/")).records
        assert replica.led[0].token == record.create_revision


async def test_work_that_fails_with_the_store_is_taken_up_again() -> None:
    store = MemoryStore()
    calls = 0

    async def lead(_: Leadership) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreUnavailable("away")

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await Campaign(store, Keyspace("/e"), "moves", "me", sleep=at_once).run(lead)
    assert calls == 2


async def test_nobody_is_elected_while_the_store_is_away() -> None:
    store, waits = MemoryStore(), 0
    store.inject(Faults(unreachable=True))

    async def back_soon(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            store.inject(Faults())
        await asyncio.sleep(0)

    async def lead(_: Leadership) -> None:
        assert waits == 3

    async with asyncio.timeout(5):
        await Campaign(store, Keyspace("/e"), "moves", "me", sleep=back_soon).run(lead)


async def test_an_error_that_is_nobodys_fault_but_ours_is_not_hidden() -> None:
    async def lead(_: Leadership) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as found:
        await Campaign(MemoryStore(), Keyspace("/e"), "moves", "me").run(lead)
    assert found.group_contains(ZeroDivisionError)
