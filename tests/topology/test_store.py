from __future__ import annotations

import pytest

from topology.store import Batch, Compare, Event, EventKind, Txn


def test_a_batch_without_events_is_a_bookmark() -> None:
    assert Batch(5).is_bookmark
    assert not Batch(5, (Event(EventKind.DELETE, "/a", 5),)).is_bookmark


@pytest.mark.parametrize(
    ("txn", "words"),
    [
        (lambda: Txn(puts=(("/a", b"1"), ("/a", b"2"))), "writes each key once"),
        (lambda: Txn(puts=(("/a", b"1"),), deletes=("/a",)), "writes each key once"),
        (lambda: Txn(deletes=("/a", "/a")), "writes each key once"),
        (lambda: Txn(deletes=tuple(f"/{number}" for number in range(129))), "at most 128"),
        (lambda: Txn(compares=tuple(Compare(f"/{number}", 0) for number in range(129))), "at most 128"),
        (lambda: Txn(puts=(("/a", b"x" * 1_000_000),)), "at most 1000000 bytes"),
    ],
)
def test_a_transaction_that_no_store_takes_is_not_made(txn: object, words: str) -> None:
    assert callable(txn)
    with pytest.raises(ValueError, match=words):
        txn()


def test_a_large_transaction_may_be_made() -> None:
    names = [f"/{number}" for number in range(128)]
    txn = Txn(compares=tuple(Compare(name, 0) for name in names), deletes=tuple(names))
    assert len(txn.deletes) == 128
