"""A move on record: who goes where, at which step it is, what it waits for, and everything that happened to
it.

The service makes one of a wish, `machine` says what becomes of it, `codec` writes it down. It holds no logic
but names. Third road: what a `Txn` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from topology.model import Stamp

MAX_HISTORY: Final = 200
"""So many entries are kept; of what waits and waits again, the newest."""


class Step(StrEnum):
    """Where a move is. What each does, and when it is done, stands in `steps`."""

    PREPARE = "PREPARE"
    FREEZE = "FREEZE"
    DRAIN = "DRAIN"
    TRANSFER = "TRANSFER"
    PROPAGATE = "PROPAGATE"
    TEST = "TEST"
    COMMIT = "COMMIT"
    COMMITTED = "COMMITTED"
    RETURN_FREEZE = "RETURN_FREEZE"
    RETURN_TRANSFER = "RETURN_TRANSFER"
    RETURN_PROPAGATE = "RETURN_PROPAGATE"
    RETURNED = "RETURNED"
    ABORT = "ABORT"
    ABORTED = "ABORTED"


ENDS: Final = frozenset({Step.COMMITTED, Step.RETURNED, Step.ABORTED})


class Order(StrEnum):
    """What a person says to a move."""

    CONTINUE = "CONTINUE"
    SWITCH_BACK = "SWITCH_BACK"
    ABORT = "ABORT"


class Happened(StrEnum):
    """What an entry of the history tells."""

    STARTED = "STARTED"
    DONE = "DONE"
    """A step is over; each step of a move has at most one such entry."""
    ZERO = "ZERO"
    """Nothing was left to drain; it takes two of them in a row."""
    NOT_ZERO = "NOT_ZERO"
    BLOCKED = "BLOCKED"
    """It waits for a person."""
    ORDERED = "ORDERED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a move's audit record. `by` is a person, or the replica that led."""

    at: str
    step: Step
    what: Happened
    by: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An order that nobody has carried out yet."""

    order: Order
    by: str
    at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move. `owners` come with the epochs at which they left; `stamp` is of whoever started it.

    `waiting` says why its step is not over, `blocked` that only a person mends it. `hooked`: the application
    has done its part of the step. `zeros` counts readings of nothing left to drain, `envoys` the Envoys that
    knew of the freeze.
    """

    id: str
    owners: tuple[tuple[str, int], ...]
    from_cell: int
    to_cell: int
    window_seconds: int = 0
    ask_before: tuple[Step, ...] = ()
    force: bool = False
    step: Step = Step.PREPARE
    since: str
    waiting: str = ""
    blocked: bool = False
    hooked: bool = False
    zeros: int = 0
    zero_at: str = ""
    envoys: int = 0
    records: int = 0
    said: Said | None = None
    history: tuple[Entry, ...] = ()
    stamp: Stamp

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.step in ENDS
