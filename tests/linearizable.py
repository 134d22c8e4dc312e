"""Is a history of concurrent calls linearizable? Wing and Gong's search, with memory of where it has been.

A test records calls with the moments at which they began and ended; this looks for an order that obeys those
moments and in which one caller after the other would have got the same answers. A call without an answer may
have happened at any moment after it began, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

State = TypeVar("State", bound=Hashable)


class Unknown:
    """The answer of a call that was cut off."""


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Call:
    """What was asked, what was answered, and when."""

    asked: Any
    answered: Any
    began: float
    ended: float


def is_linearizable(
    history: Sequence[Call],
    initial: State,
    step: Callable[[State, Any, Any], tuple[bool, State]],
) -> bool:
    """Search. `step` says whether the answer is right in a state (any is, if UNKNOWN), and gives the next."""
    dead: set[tuple[frozenset[int], State]] = set()

    def search(left: frozenset[int], state: State) -> bool:
        if all(history[at].answered is UNKNOWN for at in left):
            return True
        if (left, state) in dead:
            return False
        first_end = min(history[at].ended for at in left if history[at].answered is not UNKNOWN)
        # Answered calls first, as they ended: what was cut off is seldom needed to explain them.
        changing: list[tuple[int, State]] = []
        for at in sorted(left, key=lambda at: (history[at].answered is UNKNOWN, history[at].ended)):
            call = history[at]
            if call.began > first_end:
                continue
            right, after = step(state, call.asked, call.answered)
            if right and after != state:
                changing.append((at, after))
            elif right and call.answered is not UNKNOWN:
                return search(left - {at}, state)  # an order that has it later has it here as well
            # What was cut off and changes nothing needn't have happened.
        if any(search(left - {at}, after) for at, after in changing):
            return True
        dead.add((left, state))
        return False

    return search(frozenset(range(len(history))), initial)
