"""Which transactions may be one: as if one came after the other, in whatever order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topology.grouping import Group
from topology.memory import MemoryStore
from topology.store import MAX_TXN_BYTES, Committed, Compare, Txn

KEYS = [f"/g/{name}" for name in "abcd"]


def may_go_together(*txns: Txn) -> bool:
    group = Group()
    return all(group.admits(txn) for txn in txns)


def put(key: str, *compared: str) -> Txn:
    return Txn(tuple(Compare(each, 0) for each in compared), ((key, b"1"),))


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (put("a", "a"), put("b", "b"), True),
        (put("a", "cell"), put("b", "cell"), True),
        (put("a"), put("a"), False),
        (put("a"), put("b", "a"), False),
        (put("a", "b"), put("b", "a"), False),
        (Txn(deletes=("mark",)), Txn(deletes=("mark",)), True),
        (Txn(deletes=("mark",)), put("mark"), False),
        (Txn(deletes=("mark",)), put("a", "mark"), False),
    ],
)
def test_what_one_writes_no_other_compares_or_writes(one: Txn, other: Txn, together: bool) -> None:
    assert may_go_together(one, other) == together
    assert may_go_together(other, one) == together


def test_who_was_not_admitted_leaves_nothing_behind() -> None:
    group = Group()
    assert group.admits(put("a"))
    assert not group.admits(Txn(puts=(("a", b"2"), ("b", b"2"))))
    assert group.admits(put("b"))
    assert [txn.puts[0][0] for txn in group.txns] == ["a", "b"]


def test_a_group_has_at_most_as_many_bytes_as_a_transaction() -> None:
    whole = Txn(puts=(("a", b"x" * (MAX_TXN_BYTES - 1)),))
    assert may_go_together(whole), "alone it goes, whatever its size"
    assert not may_go_together(whole, put("b"))
    assert may_go_together(Txn(puts=(("a", b"x" * 400_000),)), Txn(puts=(("b", b"x" * 400_000),)))
    long = "k" * 300_000
    assert not may_go_together(put("a", long), put("b", f"{long}l")), "a compared key is sent twice"


@st.composite
def txns(draw: st.DrawFn) -> Txn:
    """One that compares and writes some of few keys, of which the first two are there."""
    compared = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=2))
    written = draw(st.lists(st.sampled_from(KEYS), unique=True, min_size=1, max_size=2))
    puts = draw(st.integers(0, len(written)))
    return Txn(
        tuple(Compare(key, draw(st.sampled_from([0, 101]))) for key in compared),
        tuple((key, draw(st.binary(min_size=1, max_size=1))) for key in written[:puts]),
        tuple(written[puts:]),
    )


async def _fresh() -> MemoryStore:
    store = MemoryStore(start_revision=100)
    await store.commit(Txn(puts=tuple((key, b"0") for key in KEYS[:2])))
    return store


async def _there(store: MemoryStore) -> dict[str, bytes]:
    return {record.key: record.value for record in (await store.list("/g/")).records}


@settings(max_examples=150, deadline=None)
@given(st.lists(txns(), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_together_comes_out_what_comes_out_one_after_the_other(wishes: list[Txn], chance: object) -> None:
    async def compared() -> None:
        group = Group()
        admitted = [txn for txn in wishes if group.admits(txn)]
        together = await _fresh()
        outcomes = await together.commit_together(group.txns)
        turns = list(range(len(admitted)))
        chance.shuffle(turns)  # type: ignore[attr-defined]
        alone = await _fresh()
        for turn in turns:
            by_itself = await alone.commit(admitted[turn])
            assert isinstance(by_itself, Committed) == isinstance(outcomes[turn], Committed)
        assert await _there(together) == await _there(alone)

    asyncio.run(compared())
