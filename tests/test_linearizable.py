"""The check for linearizability finds what is wrong, and lets pass what is not: on a register."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

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


def test_calls_that_were_cut_off_are_searched_only_where_they_change_something() -> None:
    lost = [Call("read", UNKNOWN, number, number + 1) for number in range(60)]
    seen = [read(1, 100 + number, 200) for number in range(60)]
    assert not is_linearizable([write(1, 0, 99), *lost, *seen, read(2, 201, 202)], 0, register)


_moments = st.integers(0, 6)
_calls = st.tuples(
    st.sampled_from(["read", 1, 2]), st.sampled_from([0, 1, 2, UNKNOWN]), _moments, st.integers(1, 4)
).map(lambda each: Call(each[0], each[1], each[2], each[2] + each[3]))


@given(st.lists(_calls, max_size=5))
def test_it_says_what_trying_every_order_says(history: list[Call]) -> None:
    def fits(order: tuple[Call, ...]) -> bool:
        state = 0
        for at, call in enumerate(order):
            right, state = register(state, call.asked, call.answered)
            if not right or any(
                later.answered is not UNKNOWN and later.ended < call.began for later in order[at:]
            ):
                return False
        return True

    answered = sum(call.answered is not UNKNOWN for call in history)
    every = (
        order
        for length in range(answered, len(history) + 1)
        for order in permutations(history, length)
        if sum(call.answered is not UNKNOWN for call in order) == answered
    )
    assert is_linearizable(history, 0, register) == any(map(fits, every))
