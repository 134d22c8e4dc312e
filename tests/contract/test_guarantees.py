"""Each check catches the recording that breaks its promise, and the good one passes all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.contract import guarantees
from tests.contract.guarantees import BrokenPromiseError
from topology.store import Batch, Event, EventKind, Record


def put(key: str, revision: int) -> Event:
    return Event(EventKind.PUT, key, revision, Record(key, b"v", revision, revision, 1))


def gone(key: str, revision: int) -> Event:
    return Event(EventKind.DELETE, key, revision)


B11 = Batch(11, (put("/a", 11),))
B12 = Batch(12, (put("/b", 12), gone("/a", 12)))
B15 = Batch(15, (put("/c", 15),))
HISTORY = (Batch(9, (put("/z", 9),)), B11, B12, B15)
AFTER = 10
GOOD = (Batch(10), B11, B12, Batch(12), Batch(14), B15, Batch(15))

Check = Callable[[Sequence[Batch]], None]
CHECKS: dict[str, Check] = {
    "Ordered": guarantees.check_ordered,
    "Unique": guarantees.check_unique,
    "Atomic": lambda batches: guarantees.check_atomic(batches, HISTORY),
    "Reliable": lambda batches: guarantees.check_reliable(batches, HISTORY),
    "Resumable": lambda batches: guarantees.check_resumable(batches, HISTORY, AFTER),
    "Bookmarkable": lambda batches: guarantees.check_bookmarkable(batches, HISTORY, AFTER),
}

BROKEN: list[tuple[str, tuple[Batch, ...], str]] = [
    ("Ordered", (B11, B15, B12), "revision 12 after 15"),
    ("Ordered", (B11, Batch(12, (put("/b", 12),)), Batch(12, (gone("/a", 12),))), "revision 12 after 12"),
    ("Ordered", (B15, Batch(14)), "revision 14 after 15"),
    ("Ordered", (Batch(12, (put("/b", 11),)),), "/b of 11 in 12"),
    ("Unique", (B11, B12, B12, B15), "/b at 12 again"),
    ("Unique", (Batch(11, (put("/a", 11), put("/a", 11))),), "/a at 11 again"),
    ("Atomic", (B11, Batch(12, (put("/b", 12),)), B15), "revision 12 came as ['/b'], and was ['/a', '/b']"),
    ("Atomic", (Batch(12, (*B12.events, put("/c", 12))),), "revision 12 came as"),
    ("Atomic", (Batch(13, (put("/n", 13),)),), "revision 13 came as ['/n'], and was []"),
    (
        "Atomic",
        (Batch(11, (Event(EventKind.PUT, "/a", 11, Record("/a", b"other", 11, 11, 1)),)),),
        "revision 11",
    ),
    ("Reliable", (B11, B15), "/b at 12 is missing"),
    ("Reliable", (B11, Batch(12, (put("/b", 12),)), B15), "/a at 12 is missing"),
    ("Resumable", (Batch(9, (put("/z", 9),)), B11, B12), "revision 9 comes again after 10"),
    ("Resumable", (B12, B15), "after 10 comes 12, not 11"),
    ("Bookmarkable", (Batch(10), B11, Batch(12), B12), "bookmark 12 came before /b at 12"),
    ("Bookmarkable", (Batch(15), B11), "bookmark 15 came before /a at 11"),
    ("Bookmarkable", (B11, B12, Batch(12), B11), "revision 11 came after bookmark 12"),
]


@pytest.mark.parametrize("name", CHECKS)
def test_a_good_recording_keeps_every_promise(name: str) -> None:
    CHECKS[name](GOOD)
    CHECKS[name](())
    CHECKS[name]((Batch(10),))
    guarantees.check_all(GOOD, HISTORY, AFTER)


@pytest.mark.parametrize(("name", "batches", "words"), BROKEN)
def test_a_broken_promise_is_named(name: str, batches: tuple[Batch, ...], words: str) -> None:
    with pytest.raises(BrokenPromiseError) as caught:
        CHECKS[name](batches)
    assert caught.value.name == name
    assert f"broke {name} - {guarantees.PROMISES[name]}: " in str(caught.value)
    assert words in str(caught.value)
    with pytest.raises(BrokenPromiseError):
        guarantees.check_all(batches, HISTORY, AFTER)


def test_every_promise_is_checked_and_seen_to_be_broken() -> None:
    assert set(CHECKS) == set(guarantees.PROMISES) == {name for name, _, _ in BROKEN}
