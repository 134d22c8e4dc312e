"""Commits that wait at the same moment go out together, and nobody is in anybody's way."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.etcd_server import EtcdServer
from topology.errors import LeaseGone, OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable
from topology.etcd import EtcdStore
from topology.etcd_access import Timeouts
from topology.group_commit import GroupCommit
from topology.memory import Faults, MemoryStore
from topology.store import MAX_TXN_OPERATIONS, Committed, Compare, Conflict, GroupingStore, Txn

T = TypeVar("T")


class Gate:
    """A store whose commits wait until they are let through; it notes how many went together."""

    def __init__(self, store: GroupingStore) -> None:
        self.list, self.watch, self.close = store.list, store.watch, store.close
        self._store = store
        self.opened = asyncio.Event()
        self.sent: list[int] = []
        self.refuses = False

    async def commit(self, txn: Txn) -> Committed | Conflict:
        self.sent.append(1)
        await self.opened.wait()
        return await self._store.commit(txn)

    async def commit_together(self, txns: Sequence[Txn]) -> tuple[Committed | Conflict, ...]:
        self.sent.append(len(txns))
        await self.opened.wait()
        if self.refuses:
            raise StoreRefused("too many operations")
        return await self._store.commit_together(txns)


@asynccontextmanager
async def running(store: GroupingStore) -> AsyncIterator[GroupCommit]:
    together = GroupCommit(store)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(together.run())
        await asyncio.sleep(0)
        yield together
        run.cancel()


def create(key: str, value: bytes = b"1") -> Txn:
    return Txn((Compare(key, 0),), ((key, value),))


async def sent(gate: Gate, *wanted: int) -> None:
    """Wait until so many were sent together, one after the other."""
    async with asyncio.timeout(30):
        while gate.sent != list(wanted):
            await asyncio.sleep(0)


async def begun(tasks: asyncio.TaskGroup, *calls: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    """Have calls wait, in this order."""
    made = [tasks.create_task(each) for each in calls]
    await asyncio.sleep(0)
    return made


@pytest.fixture(params=["memory", "etcd"])
def base(request: pytest.FixtureRequest) -> GroupingStore:
    if request.param == "memory":
        return MemoryStore()
    server: EtcdServer = request.getfixturevalue("etcd")
    return EtcdStore([server.endpoint])


async def test_a_lone_commit_goes_at_once_and_what_comes_meanwhile_goes_together(
    base: GroupingStore, etcd_prefix: str
) -> None:
    gate = Gate(base)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        (lone,) = await begun(tasks, together.commit(create(f"{etcd_prefix}/lone")))
        assert gate.sent == [1]
        taken = together.commit(create(f"{etcd_prefix}/lone", b"2"))
        others = await begun(tasks, *(together.commit(create(f"{etcd_prefix}/{n}")) for n in range(5)), taken)
        assert gate.sent == [1]
        gate.opened.set()
        outcomes = [await each for each in others]
    assert gate.sent == [1, 6]
    first = lone.result()
    assert isinstance(first, Committed)
    (revision,) = {each.revision for each in outcomes if isinstance(each, Committed)}
    assert revision == first.revision + 1
    refused = outcomes[-1]
    assert isinstance(refused, Conflict), "one finds its key taken, the others don't mind"
    assert [(each.key, each.value) for each in refused.records] == [(f"{etcd_prefix}/lone", b"1")]
    await base.close()


async def test_two_that_want_the_same_key_go_one_after_the_other(
    base: GroupingStore, etcd_prefix: str
) -> None:
    gate, key = Gate(base), f"{etcd_prefix}/same"
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        await begun(tasks, together.commit(create(f"{etcd_prefix}/before")))
        calls = [together.commit(create(key, b"%d" % number)) for number in range(3)]
        others = await begun(tasks, *calls, together.commit(create(f"{etcd_prefix}/other")))
        gate.opened.set()
        outcomes = [await each for each in others]
    assert gate.sent == [1, 2, 1, 1]
    assert [isinstance(each, Committed) for each in outcomes] == [True, False, False, True]
    assert [each.value for each in (await base.list(key)).records] == [b"0"]
    await base.close()


async def test_the_largest_transaction_waits_and_goes_as_it_is(base: GroupingStore, etcd_prefix: str) -> None:
    keys = [f"{etcd_prefix}/{number:03}" for number in range(MAX_TXN_OPERATIONS)]
    whole = Txn(tuple(Compare(key, 0) for key in keys), tuple((key, b"1") for key in keys))
    gate = Gate(base)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        await begun(tasks, together.commit(create(f"{etcd_prefix}/before")))
        waits, other = await begun(
            tasks, together.commit(whole), together.commit(create(f"{etcd_prefix}/other"))
        )
        gate.opened.set()
        assert isinstance(await waits, Committed)
        assert isinstance(await other, Committed)
    assert gate.sent == [1, 1, 1]
    await base.close()


async def test_who_is_cut_off_takes_nobody_along(base: GroupingStore, etcd_prefix: str) -> None:
    """One while it waits, which then writes nothing; one on its way, which happens all the same."""
    gate = Gate(base)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        await begun(tasks, together.commit(create(f"{etcd_prefix}/before")))
        waits, goes, stays = await begun(
            tasks, *(together.commit(create(f"{etcd_prefix}/{name}")) for name in ("waits", "goes", "stays"))
        )
        waits.cancel()
        gate.opened.set()
        gate.opened = asyncio.Event()
        await sent(gate, 1, 2)
        goes.cancel()
        await asyncio.sleep(0)
        gate.opened.set()
        assert isinstance(await stays, Committed)
        assert isinstance(await together.commit(create(f"{etcd_prefix}/later")), Committed)
    assert goes.cancelled()
    there = {each.key.removeprefix(f"{etcd_prefix}/") for each in (await base.list(etcd_prefix)).records}
    assert there == {"before", "goes", "stays", "later"}
    await base.close()


async def test_all_who_waited_are_cut_off_and_the_next_goes(base: GroupingStore, etcd_prefix: str) -> None:
    gate = Gate(base)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        first, other = await begun(
            tasks, *(together.commit(create(f"{etcd_prefix}/{name}")) for name in ("first", "other"))
        )
        other.cancel()
        first.cancel()
        gate.opened.set()
        async with asyncio.timeout(30):
            assert isinstance(await together.commit(create(f"{etcd_prefix}/next")), Committed)
    await base.close()


async def test_an_unknown_outcome_is_told_to_all() -> None:
    memory = MemoryStore()
    gate = Gate(memory)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        calls = await begun(tasks, *(tried(together, create(f"/{number}")) for number in range(4)))
        memory.inject(Faults(lose_answers=2))
        gate.opened.set()
        told = [await each for each in calls]
    assert gate.sent == [1, 3]
    assert all(isinstance(each, OutcomeUnknown) for each in told)
    assert len((await memory.list("/")).records) == 4


async def tried(together: GroupCommit, txn: Txn) -> Committed | Conflict | StoreError:
    try:
        return await together.commit(txn)
    except StoreError as error:
        return error


async def test_a_group_that_is_refused_goes_one_by_one() -> None:
    """For one of them, or for being a group: who is told so is who it is about."""
    gate = Gate(MemoryStore())
    gate.refuses = True
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        await begun(tasks, together.commit(create("/before")))
        others = await begun(tasks, *(together.commit(create(f"/{number}")) for number in range(3)))
        gate.opened.set()
        assert [isinstance(await each, Committed) for each in others] == [True] * 3
    assert gate.sent == [1, 3, 1, 1, 1]


async def test_what_writes_nothing_or_has_a_lease_waits_for_nobody() -> None:
    memory = MemoryStore()
    gate = Gate(memory)
    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        await begun(tasks, together.commit(create("/before")))
        look, leased = await begun(
            tasks,
            together.commit(Txn((Compare("/a", 0),))),
            tried(together, Txn(puts=(("/a", b"1"),), lease=7)),
        )
        assert gate.sent == [1, 1, 1]
        gate.opened.set()
        assert isinstance(await look, Committed)
        assert isinstance(await leased, LeaseGone)


async def test_when_it_ends_who_waits_wrote_nothing_and_who_was_sent_knows_nothing() -> None:
    gate = Gate(MemoryStore())
    together = GroupCommit(gate)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(together.run())
        await asyncio.sleep(0)
        await begun(tasks, together.commit(create("/first")))
        (goes,) = await begun(tasks, tried(together, create("/goes")))
        gate.opened.set()
        gate.opened = asyncio.Event()
        await sent(gate, 1, 1)
        (waits,) = await begun(tasks, tried(together, create("/waits")))
        run.cancel()
        told = await waits
        assert isinstance(told, StoreUnavailable)
        assert not isinstance(told, OutcomeUnknown)
        assert isinstance(await goes, OutcomeUnknown)
        gate.opened.set()
        assert isinstance(await together.commit(create("/after")), Committed), "from then on one by one"


async def test_etcd_killed_under_a_group_leaves_all_or_none_of_each(tmp_path: Path) -> None:
    """Writers go on through kills: what was acknowledged is there, what was not is there whole or not at
    all.
    """
    debian = shutil.which("etcd")  # the one that tests bring along can lose committed data when killed
    assert debian, "needs Debian's etcd-server: make tools"
    server = EtcdServer(tmp_path / "etcd", program=debian)
    await server.start()
    store = EtcdStore([server.endpoint], timeouts=Timeouts(call=2.0))
    gate = Gate(store)
    gate.opened.set()
    acknowledged: set[str] = set()
    unknown: list[Exception] = []
    over = asyncio.Event()

    async def writer(together: GroupCommit, name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            key = f"/k/{name}/{number}"
            try:
                outcome = await together.commit(
                    Txn((Compare(f"{key}/a", 0),), ((f"{key}/a", b"1"), (f"{key}/b", b"1")), ("/mark",))
                )
            except StoreUnavailable as error:
                unknown.append(error)
                continue
            assert isinstance(outcome, Committed)
            acknowledged.add(key)

    def grouped() -> int:
        return sum(number for number in gate.sent if number > 1)

    async def killer() -> None:
        for _ in range(3):
            goal = grouped() + 50
            async with asyncio.timeout(60):
                while grouped() < goal:
                    await asyncio.sleep(0.005)
            await server.kill()
            await server.start()
        over.set()

    async with running(gate) as together, asyncio.TaskGroup() as tasks:
        for name in "abcdefgh":
            tasks.create_task(writer(together, name))
        tasks.create_task(killer())
    assert any(isinstance(each, OutcomeUnknown) for each in unknown)
    there: dict[str, int] = {}
    for record in (await store.list("/k/")).records:
        there[record.key[:-2]] = there.get(record.key[:-2], 0) + 1
    assert set(there.values()) == {2}, "each whole"
    assert acknowledged <= there.keys()
    await store.close()
    await server.stop()
