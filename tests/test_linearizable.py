"""The check for linearizability finds what is wrong, and lets pass what is not: on a register."""

from __future__ import annotations

from typing import Any

from tests.linearizable import UNKNOWN, Call, is_linearizable


def register(state: int, asked: Any, answered: Any) -> tuple[bool, int]:
    if asked == "read":
        return answered in (state, UNKNOWN), state
    return True, asked


def write(value: int, began: float, ended: float) -> Call:
    return Call(value, "ok", began, ended)


def read(value: int, began: float, ended: float) -> Call:
    return Call("read", value, began, ended)


def test_one_after_the_other() -> None:
    assert is_linearizable([write(1, 0, 1), read(1, 2, 3)], 0, register)
    assert not is_linearizable([write(1, 0, 1), read(0, 2, 3)], 0, register)


def test_calls_that_overlap_may_stand_either_way() -> None:
    for seen in (0, 1):
        assert is_linearizable([write(1, 0, 5), read(seen, 2, 3)], 0, register)


def test_what_one_has_seen_another_cannot_unsee() -> None:
    history = [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)]
    assert not is_linearizable(history, 0, register)
    assert is_linearizable([write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)], 0, register)


def test_a_call_without_an_answer_may_have_happened_late_or_never() -> None:
    lost = Call(1, UNKNOWN, 0, 1)
    assert is_linearizable([lost, read(0, 2, 3), read(1, 4, 5)], 0, register)
    assert is_linearizable([lost, read(0, 2, 3)], 0, register)
    assert not is_linearizable([lost, read(1, 2, 3), read(0, 4, 5)], 0, register)
