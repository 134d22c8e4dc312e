"""Which drops and moves Envoy is told of: the newest, whole revisions, and how far back that goes."""

from __future__ import annotations

from envoy.forgetting import MOST, forgetting


def test_nothing_was_ever_moved() -> None:
    assert forgetting({}) == {}


def test_the_newest_come_first() -> None:
    assert forgetting({7: 20, 3: 5, 9: 21}) == {"at": 21, "since": 0, "moved": "9 21 7 20 3 5"}


def test_only_so_many_are_told_and_since_when() -> None:
    said = forgetting({slot: 1000 + slot for slot in range(MOST + 5)})
    moved = str(said["moved"]).split(" ")
    assert len(moved) == 2 * MOST
    assert (said["since"], moved[-1], said["at"]) == (1004, "1005", 1000 + MOST + 4)


def test_a_revision_is_told_whole_or_not_at_all() -> None:
    said = forgetting({**dict.fromkeys(range(9), 50), **{100 + each: 60 + each for each in range(MOST - 3)}})
    assert said["since"] == 50
    assert len(str(said["moved"]).split(" ")) == 2 * (MOST - 3)
    whole = forgetting(dict.fromkeys(range(MOST + 1), 7))
    assert whole == {"at": 7, "since": 7, "moved": ""}
