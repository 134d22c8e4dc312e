"""What the application does for a move, seen from here: it is called at a step, and says how far it is.

The composition root has something that calls it; the runner asks through this port. Third road: what must be
true before a `Txn` is planned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from topology.moves.machine import owners_at
from topology.moves.model import Move, Step


@dataclass(frozen=True, slots=True)
class Ready:
    """The application has done its part of the step. `words` are kept."""

    words: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """It is at it, or nobody answers: ask again."""

    words: str


@dataclass(frozen=True, slots=True)
class No:
    """It refuses; a person has to look."""

    words: str


HookOutcome = Ready | NotYet | No


class Hooks(Protocol):
    """The application's side of moves."""

    def told(self, step: Step, /) -> str:
        """Say what is called at a step, for people; empty where nothing is."""
        ...

    async def call(self, move: Move, /) -> HookOutcome:
        """Call what belongs to the move's step.

        It may have been called before, by whoever led then, with the same key: the application does the work
        of one key once. It is called until it is ready, and after that not again.
        """
        ...


class NoHooks:
    """An application that has no part in moves."""

    def told(self, _: Step) -> str:
        """Say that nothing is called."""
        return ""

    async def call(self, _: Move) -> HookOutcome:
        """Be ready for everything."""
        return Ready()


def call_body(move: Move) -> dict[str, Any]:
    """Give what an application is told. `key` is the same however often this step is called."""
    back = move.step in (Step.RETURN_FREEZE, Step.RETURN_TRANSFER)
    return {
        "key": f"{move.id}/{move.step}",
        "move": move.id,
        "step": move.step.value,
        "owners": [{"owner": name, "epoch": epoch} for name, epoch in owners_at(move, back=back)],
        "from_cell": move.from_cell,
        "to_cell": move.to_cell,
        "reason": move.stamp.reason,
        "by": move.stamp.updated_by,
    }
