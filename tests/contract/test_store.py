"""The contract of a store: one suite, over memory and over a real etcd."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import pytest

from tests.contract import guarantees
from tests.contract.etcd_admin import compact
from tests.contract.recording import Writer, recorded
from tests.etcd_server import EtcdServer
from topology.errors import Compacted, LeaseGone, Rewound, StoreUnavailable
from topology.etcd import EtcdStore
from topology.grouping import Group
from topology.memory import MemoryStore
from topology.store import (
    Batch,
    Committed,
    Compare,
    Conflict,
    EventKind,
    GroupingStore,
    LeasingStore,
    Record,
    Store,
    Txn,
)

_numbers = itertools.count(1)


class Kept(LeasingStore, GroupingStore, Protocol):
    """All that a store can do."""


@dataclass
class Subject:
    """A store under test with a prefix of its own, and what can only be done to it from outside."""

    store: Kept
    prefix: str
    compact: Callable[[int], Awaitable[None]]
    bookmark: Callable[[], None]
    again: Callable[[], LeasingStore]


@pytest.fixture(scope="module")
def contract_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Start an etcd that may be compacted, and that sends bookmarks often."""
    often = ["--experimental-watch-progress-notify-interval=100ms"]
    server = EtcdServer(tmp_path_factory.mktemp("contract"), often)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture(params=["memory", "etcd"])
def server(request: pytest.FixtureRequest) -> EtcdServer | None:
    """Give an etcd where the store under test needs one."""
    found: EtcdServer | None = None
    if request.param == "etcd":
        found = request.getfixturevalue("contract_etcd")
    return found


@pytest.fixture
async def subject(server: EtcdServer | None) -> AsyncIterator[Subject]:
    prefix = f"/contract-{next(_numbers)}/"
    if server is None:
        memory = MemoryStore()

        async def compact_memory(revision: int) -> None:
            memory.compact(revision)

        yield Subject(memory, prefix, compact_memory, memory.bookmark, lambda: memory)
        await memory.close()
        return
    endpoint = server.endpoint
    # Two records a page: every listing of more takes several.
    stores = [EtcdStore([endpoint], page=2)]

    def another() -> LeasingStore:
        stores.append(EtcdStore([endpoint], page=2))
        return stores[-1]

    yield Subject(stores[0], prefix, lambda revision: compact(endpoint, revision), lambda: None, another)
    for store in stores:
        await store.close()


# Listing


async def test_a_listing_of_nothing_has_a_revision(subject: Subject) -> None:
    listing = await subject.store.list(subject.prefix)
    assert listing.records == ()
    assert listing.revision > 0


async def test_a_listing_is_whole_and_in_the_order_of_keys(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    first = await committed(store, Txn(puts=((f"{p}c", b"1"), (f"{p}a", b"2"), (f"{p}b", b"3"))))
    second = await committed(store, Txn(puts=((f"{p}b", b"4"), (f"{p}b/x", b""), (f"{p[:-1]}0", b"outside"))))
    listing = await store.list(p)
    assert listing.revision == second
    assert listing.records == (
        Record(f"{p}a", b"2", first, first, 1),
        Record(f"{p}b", b"4", first, second, 2),
        Record(f"{p}b/x", b"", second, second, 1),
        Record(f"{p}c", b"1", first, first, 1),
    )


async def test_a_listing_goes_back_in_time(subject: Subject) -> None:
    writer = Writer(subject.store)
    p = subject.prefix
    await writer.write((f"{p}a", b"1"), (f"{p}b", b"1"), (f"{p}c", b"1"))
    then, at = writer.live(p), writer.history[-1].revision
    await writer.write((f"{p}b", b"2"), delete=(f"{p}a",))
    assert (await subject.store.list(p, at)).records == then
    assert (await subject.store.list(p, at)).revision == at
    assert (await subject.store.list(p)).records == writer.live(p)


async def test_a_listing_of_the_future_is_refused(subject: Subject) -> None:
    now = (await subject.store.list(subject.prefix)).revision
    with pytest.raises(Rewound) as caught:
        await subject.store.list(subject.prefix, now + 1000)
    assert caught.value.after == now + 1000


async def test_a_listing_of_what_is_compacted_is_refused(subject: Subject) -> None:
    writer = Writer(subject.store)
    old = await writer.write((f"{subject.prefix}a", b"1"))
    kept = await writer.write((f"{subject.prefix}a", b"2"))
    await subject.compact(kept)
    with pytest.raises(Compacted):
        await subject.store.list(subject.prefix, old)
    assert (await subject.store.list(subject.prefix, kept)).records == writer.live(subject.prefix)


# Committing


async def committed(store: Store, txn: Txn) -> int:
    outcome = await store.commit(txn)
    assert isinstance(outcome, Committed)
    return outcome.revision


async def test_everything_in_a_transaction_happens_at_one_revision(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    before = await committed(store, Txn(puts=((f"{p}old", b"x"),)))
    revision = await committed(store, Txn(puts=((f"{p}a", b"1"), (f"{p}b", b"2")), deletes=(f"{p}old",)))
    assert revision == before + 1
    assert [(each.key, each.mod_revision) for each in (await store.list(p)).records] == [
        (f"{p}a", revision),
        (f"{p}b", revision),
    ]


async def test_a_failed_compare_changes_nothing_and_tells_what_is_there(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    at = await committed(store, Txn(puts=((f"{p}a", b"1"), (f"{p}b", b"1"))))
    outcome = await store.commit(
        Txn(
            compares=(
                Compare(f"{p}a", at),
                Compare(f"{p}b", at - 1),
                Compare(f"{p}none", at),
                Compare(f"{p}absent", 0),
            ),
            puts=((f"{p}a", b"2"),),
            deletes=(f"{p}b",),
        )
    )
    assert outcome == Conflict((f"{p}b", f"{p}none"), (Record(f"{p}b", b"1", at, at, 1),))
    assert (await store.list(p)).revision == at
    assert [each.value for each in (await store.list(p)).records] == [b"1", b"1"]


async def test_a_key_that_must_not_be_there(subject: Subject) -> None:
    store, key = subject.store, f"{subject.prefix}a"
    fresh = Txn(compares=(Compare(key, 0),), puts=((key, b"1"),))
    at = await committed(store, fresh)
    assert await store.commit(fresh) == Conflict((key,), (Record(key, b"1", at, at, 1),))
    await committed(store, Txn(compares=(Compare(key, at),), deletes=(key,)))
    assert await committed(store, fresh) == at + 2


async def test_a_key_written_again_after_its_end_is_a_new_one(subject: Subject) -> None:
    store, key = subject.store, f"{subject.prefix}a"
    for value in (b"1", b"2"):
        await committed(store, Txn(puts=((key, value),)))
    await committed(store, Txn(deletes=(key,)))
    at = await committed(store, Txn(puts=((key, b"3"),)))
    assert (await store.list(key)).records == (Record(key, b"3", at, at, 1),)


async def test_what_changes_nothing_moves_no_revision(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    at = await committed(store, Txn(puts=((f"{p}a", b"1"),)))
    assert await committed(store, Txn(deletes=(f"{p}none",))) == at
    assert await committed(store, Txn(compares=(Compare(f"{p}a", at),))) == at
    assert await committed(store, Txn(puts=((f"{p}a", b"1"),))) == at + 1


async def test_of_many_who_saw_the_same_one_commits(subject: Subject) -> None:
    store, key = subject.store, f"{subject.prefix}a"
    at = await committed(store, Txn(puts=((key, b"0"),)))
    wishes = [Txn(compares=(Compare(key, at),), puts=((key, str(number).encode()),)) for number in range(10)]
    outcomes = await asyncio.gather(*(store.commit(wish) for wish in wishes))
    (winner,) = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Committed)]
    assert (await store.list(key)).records[0].value == str(winner).encode()


async def test_the_largest_transaction_fits(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    names = [f"{p}{number:03}" for number in range(128)]
    txn = Txn(
        compares=tuple(Compare(name, 0) for name in names),
        puts=tuple((name, b"x" * 7000) for name in names),
    )
    at = await committed(store, txn)
    listing = await store.list(p)
    assert [each.key for each in listing.records] == names
    conflict = await store.commit(txn)
    assert isinstance(conflict, Conflict)
    assert len(conflict.keys) == len(conflict.records) == 128
    async with recorded(store, p, at - 1) as recording:
        await recording.reaches(at)
    assert len(recording.batches[-1].events) == 128


# Several together


async def test_of_several_together_those_happen_that_can_at_one_revision(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    at = await committed(store, Txn(puts=((f"{p}taken", b"1"), (f"{p}mark", b"1"), (f"{p}old", b"1"))))
    outcomes = await store.commit_together(
        [
            Txn((Compare(f"{p}a", 0), Compare(f"{p}old", at)), ((f"{p}a", b"1"),), (f"{p}mark",)),
            Txn((Compare(f"{p}taken", 0), Compare(f"{p}b", 0)), ((f"{p}taken", b"2"), (f"{p}b", b"2"))),
            Txn((Compare(f"{p}old", at),), ((f"{p}c", b"3"),), (f"{p}mark", f"{p}none")),
        ]
    )
    assert outcomes == (
        Committed(at + 1),
        Conflict((f"{p}taken",), (Record(f"{p}taken", b"1", at, at, 1),)),
        Committed(at + 1),
    )
    async with recorded(store, p, at) as recording:
        await recording.reaches(at + 1)
    (batch,) = [each for each in recording.batches if not each.is_bookmark]
    assert {(each.kind, each.key) for each in batch.events} == {
        (EventKind.PUT, f"{p}a"),
        (EventKind.PUT, f"{p}c"),
        (EventKind.DELETE, f"{p}mark"),
    }
    assert len(batch.events) == 3, "what two delete ends once"


async def test_several_together_of_which_none_can_move_no_revision(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    at = await committed(store, Txn(puts=((f"{p}a", b"1"), (f"{p}b", b"1"))))
    wishes = [Txn((Compare(key, 0),), ((key, b"2"),), (f"{p}mark",)) for key in (f"{p}a", f"{p}b")]
    outcomes = await store.commit_together(wishes)
    assert [each.keys for each in outcomes if isinstance(each, Conflict)] == [(f"{p}a",), (f"{p}b",)]
    assert (await store.list(p)).revision == at


@pytest.mark.parametrize("size", [1, 64, 126])
async def test_the_largest_group_that_is_put_together_fits(subject: Subject, size: int) -> None:
    group, number = Group(), itertools.count(1)

    def fresh() -> Txn:
        keys = [f"{subject.prefix}{next(number):05}" for _ in range(size)]
        return Txn(tuple(Compare(key, 0) for key in keys), tuple((key, b"x") for key in keys))

    while group.admits(fresh()):
        pass
    assert len(group.txns) == 128 - size
    outcomes = await subject.store.commit_together(group.txns)
    (at,) = {each.revision for each in outcomes if isinstance(each, Committed)}
    listing = await subject.store.list(subject.prefix)
    assert {each.mod_revision for each in listing.records} == {at}
    assert len(listing.records) == size * len(group.txns)


# Watching


async def test_a_watch_begins_with_a_bookmark_where_it_stands(subject: Subject) -> None:
    at = (await subject.store.list(subject.prefix)).revision
    async with recorded(subject.store, subject.prefix, at) as recording:
        assert recording.batches == [Batch(at)]


async def test_a_watch_tells_puts_and_deletions_below_its_prefix(subject: Subject) -> None:
    writer, p = Writer(subject.store), subject.prefix
    at = await writer.write((f"{p}a", b"1"))
    async with recorded(subject.store, p, at) as recording:
        await writer.write((f"{p[:-1]}0", b"outside"))
        await writer.write((f"{p}a", b"2"), (f"{p}b", b"1"), (f"{p[:-1]}0", b"outside"))
        last = await writer.write(delete=(f"{p}a", f"{p[:-1]}0"))
        await recording.reaches(last)
    assert [batch for batch in recording.batches if batch.events] == writer.below(p)[1:]


async def test_a_watch_keeps_its_promises_while_others_write(subject: Subject) -> None:
    chance = random.Random(7)
    writer, p = Writer(subject.store), subject.prefix
    start = await writer.write((f"{p}start", b""))

    async def write_some(count: int) -> int:
        revision = 0
        for _ in range(count):
            keys = chance.sample([f"{p}{number}" for number in range(8)] + [f"{p[:-1]}0/elsewhere"], 3)
            puts = [(key, chance.randbytes(20)) for key in keys[: chance.randint(1, 3)]]
            revision = await writer.write(*puts, delete=tuple(keys[len(puts) :]))
            subject.bookmark()
        return await writer.write((f"{p}end", str(revision).encode()))

    async with recorded(subject.store, p, start) as whole:
        middle = await write_some(40)
        await whole.reaches(middle)
        async with (
            recorded(subject.again(), p, start + 5) as late,
            recorded(subject.again(), p, middle) as resumed,
        ):
            last = await write_some(40)
            for recording in (whole, late, resumed):
                await recording.reaches(last)
    for recording, after in ((whole, start), (late, start + 5), (resumed, middle)):
        guarantees.check_all(recording.batches, writer.below(p), after)
        wanted = [batch for batch in writer.below(p) if batch.revision > after]
        assert [batch for batch in recording.batches if batch.events] == wanted


async def test_bookmarks_come_while_others_write_elsewhere(subject: Subject) -> None:
    writer = Writer(subject.store)
    at = await writer.write((f"{subject.prefix}a", b"1"))
    async with recorded(subject.store, subject.prefix, at) as recording:
        elsewhere = await writer.write((f"{subject.prefix[:-1]}0", b"outside"))
        subject.bookmark()
        await recording.until(lambda batches: any(batch == Batch(elsewhere) for batch in batches))
        last = await writer.write((f"{subject.prefix}a", b"2"))
        await recording.reaches(last)
    guarantees.check_all(recording.batches, writer.below(subject.prefix), at)


async def test_a_watch_from_before_the_compaction_is_told(subject: Subject) -> None:
    writer, p = Writer(subject.store), subject.prefix
    old = await writer.write((f"{p}a", b"1"))
    await writer.write((f"{p}a", b"2"))
    kept = await writer.write((f"{p}b", b"1"))
    last = await writer.write((f"{p}b", b"2"))
    await subject.compact(kept)
    async with recorded(subject.store, p, old) as recording:
        assert isinstance(await recording.end(), Compacted)
    assert recording.batches == []
    async with recorded(subject.store, p, kept) as recording:
        await recording.reaches(last)
    assert [batch for batch in recording.batches if batch.events] == writer.below(p)[-1:]


async def test_a_deletion_at_the_compacted_revision_is_not_lost_unseen(subject: Subject) -> None:
    writer, p = Writer(subject.store), subject.prefix
    before = await writer.write((f"{p}a", b"1"))
    deletion = await writer.write(delete=(f"{p}a",))
    await writer.write((f"{p}b", b"1"))
    await subject.compact(deletion)
    async with recorded(subject.store, p, before) as recording:
        assert isinstance(await recording.end(), Compacted)
    assert recording.batches == []


async def test_a_compaction_does_not_disturb_a_watch_that_is_up_to_date(subject: Subject) -> None:
    writer, p = Writer(subject.store), subject.prefix
    at = await writer.write((f"{p}a", b"1"))
    async with recorded(subject.store, p, at) as recording:
        kept = await writer.write((f"{p}a", b"2"))
        await recording.reaches(kept)
        await subject.compact(kept)
        last = await writer.write((f"{p}a", b"3"))
        await recording.reaches(last)
    guarantees.check_all(recording.batches, writer.below(p), at)


async def test_a_watch_from_the_future_is_told(subject: Subject) -> None:
    now = (await subject.store.list(subject.prefix)).revision
    async with recorded(subject.store, subject.prefix, now + 1000) as recording:
        ended = await recording.end()
    assert isinstance(ended, Rewound)
    assert ended.after == now + 1000
    assert recording.batches == []


async def test_a_reader_that_is_slow_misses_nothing(subject: Subject) -> None:
    writer, p = Writer(subject.store), subject.prefix
    at = await writer.write((f"{p}a", b""))
    got: list[Batch] = []
    async with aclosing(subject.store.watch(p, at)) as batches:
        got.append(await anext(batches))
        for number in range(50):
            await writer.write((f"{p}a", str(number).encode()))
        async for batch in batches:
            got.append(batch)
            if batch.revision == writer.history[-1].revision:
                break
    guarantees.check_all(got, writer.below(p), at)
    assert [batch for batch in got if batch.events] == writer.below(p)[1:]


# The end


async def test_what_is_put_under_a_lease_ends_with_it_at_one_revision(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    lease = await store.grant(60)
    await committed(store, Txn(puts=((f"{p}a", b"1"), (f"{p}b", b"1"), (f"{p}c", b"1")), lease=lease))
    revision = await committed(store, Txn(puts=((f"{p}b", b"2"),)))
    await store.keep_alive(lease)
    async with aclosing(store.watch(p, revision)) as watch:
        await anext(watch)
        await store.revoke(lease)
        ended = await anext(watch)
    assert {(event.kind, event.key) for event in ended.events} == {
        (EventKind.DELETE, f"{p}a"),
        (EventKind.DELETE, f"{p}c"),
    }
    left = (await store.list(p)).records
    assert [(each.key, each.value) for each in left] == [(f"{p}b", b"2")], "put again without the lease"


async def test_a_lease_that_is_over_carries_nothing(subject: Subject) -> None:
    store, p = subject.store, subject.prefix
    lease = await store.grant(60)
    await store.revoke(lease)
    await store.revoke(lease)
    with pytest.raises(LeaseGone):
        await store.keep_alive(lease)
    with pytest.raises(LeaseGone):
        await store.commit(Txn(puts=((f"{p}a", b"1"), (f"{p}b", b"1")), lease=lease))
    assert (await store.list(p)).records == ()


async def test_closing_ends_watches_and_calls(subject: Subject) -> None:
    store = subject.again()
    at = (await store.list(subject.prefix)).revision
    async with recorded(store, subject.prefix, at) as recording:
        await store.close()
        assert isinstance(await recording.end(), StoreUnavailable)
    for call in (store.list(subject.prefix), store.commit(Txn()), anext(store.watch(subject.prefix, at))):
        with pytest.raises(StoreUnavailable):
            await call
    await store.close()
