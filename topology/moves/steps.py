"""The steps of a move as a table: their order, what each does and waits for, and how it may be left.

`machine` goes by it; commands and docs show it. It does nothing. Third road: which `Txn` comes after which.

    PREPARE → FREEZE → DRAIN → TRANSFER → PROPAGATE → TEST → COMMIT → COMMITTED
       └────────┴────────┴─────────┴→ ABORT → ABORTED   │
                        RETURN_FREEZE → RETURN_TRANSFER → RETURN_PROPAGATE → RETURNED
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from topology.moves.model import Order, Step


@dataclass(frozen=True, slots=True)
class Row:
    """One step. `leave` is the order that takes a move out of it."""

    step: Step
    after: Step
    does: str
    gate: str
    leave: Order | None = None


_BACK: Final = Order.SWITCH_BACK

# The table. What it says of leaving:
# - Until something has moved a move is aborted, and nothing but the application's copies is left of it.
# - From the transfer on there is no abort: what moved is moved back, by a transfer of its own.
# - COMMIT is left by no order: the application has been told that the other cell's copy is the one.
STEPS: Final[tuple[Row, ...]] = (
    Row(
        Step.PREPARE,
        Step.FREEZE,
        "checks owner, epoch and the other cell; the application copies while it goes on writing",
        "everything fits, and the application's copy has caught up",
        Order.ABORT,
    ),
    Row(
        Step.FREEZE,
        Step.DRAIN,
        "writes for the owner are refused at every sidecar of its cell; reads go on",
        "every Envoy has acknowledged the freeze, and the application refuses writes too",
        Order.ABORT,
    ),
    Row(
        Step.DRAIN,
        Step.TRANSFER,
        "what was begun before the freeze comes to its end",
        "no open lease, and nothing left in the application, read twice in a row",
        Order.ABORT,
    ),
    Row(
        Step.TRANSFER,
        Step.PROPAGATE,
        "the application copies the rest and compares; then all claims go, at the next epoch, in one write",
        "the application's copies are equal, and the claims have gone",
        Order.ABORT,
    ),
    Row(
        Step.PROPAGATE,
        Step.TEST,
        "every Envoy is told where the owner is now; whoever asks the old cell is sent on",
        "every Envoy has acknowledged it",
        _BACK,
    ),
    Row(
        Step.TEST,
        Step.COMMIT,
        "it is tried out in the other cell. What is written there is lost by a switch back",
        "the test has passed, and a person goes on or the window is over",
        _BACK,
    ),
    Row(
        Step.COMMIT,
        Step.COMMITTED,
        "the application is told that the copy it left is history",
        "the application has taken note",
    ),
    Row(
        Step.RETURN_FREEZE,
        Step.RETURN_TRANSFER,
        "writes for the owner are refused at every sidecar of the other cell",
        "every Envoy has acknowledged the freeze, and the application refuses writes too",
    ),
    Row(
        Step.RETURN_TRANSFER,
        Step.RETURN_PROPAGATE,
        "all claims go back, at the next epoch, in one write",
        "the claims have gone",
    ),
    Row(
        Step.RETURN_PROPAGATE,
        Step.RETURNED,
        "every Envoy is told that the owner is back",
        "every Envoy has acknowledged it, and the application takes writes again",
    ),
    Row(
        Step.ABORT,
        Step.ABORTED,
        "the freeze ends; the application forgets its copies",
        "nothing has moved, and the application takes writes",
    ),
)
ROWS: Final = MappingProxyType({row.step: row for row in STEPS})
FORWARD: Final = tuple(row.step for row in STEPS[:7])
LEAVES_TO: Final = MappingProxyType({Order.ABORT: Step.ABORT, Order.SWITCH_BACK: Step.RETURN_FREEZE})
