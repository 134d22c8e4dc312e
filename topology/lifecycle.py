"""The life of a cell as a table: which state leads to which, under what guard, and what that does to traffic.

Planning enforces it, `envoy` asks it what a state means for routing. It holds no cell and reads no clock:
whoever calls gives the moment. `etcd Event -> View -> Snapshot -> Response`: what the View's states mean.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from topology import forms
from topology.model import QUARANTINABLE, Cell, CellState

P, CA, A, CO, DI, DD, DE, Q = tuple(CellState)


class Guard(StrEnum):
    """What must hold before a move. Planning checks it against the View and names the way out.

    DRAINED means that the cell owns nothing any more; that too becomes a guard as soon as there are claims to
    count.
    """

    OTHERS_TAKE_UNOWNED = "another cell takes unowned traffic"
    OTHERS_SERVE = "another cell serves"
    RAMP_OVER = "the drain's time is over"


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed move and what it means, in words that the command shows."""

    source: CellState
    target: CellState
    guards: tuple[Guard, ...]
    routing: str
    placement: str


_OPENS: Final = "takes its share of unowned traffic"
_OWNED: Final = "owned traffic only"
_NONE: Final = "no newcomers"
_FALLS: Final = "none: its cookies fall through to the next rule"
_ALONE: Final = (Guard.OTHERS_TAKE_UNOWNED,)

# The table. What it leaves out is refused, with what is allowed:
# - ACTIVE goes to DRAINING without a stop in CORDONED, which draining includes.
# - A CANARY that fails goes on to DRAINING, never back to PROVISIONING: it may own customers by now.
# - A quarantine ends where it began: a CORDONED cell must not come back taking newcomers. Or it ends in
#   DRAINING, from wherever it began: mended enough to serve what it owns, not enough to stay. It took no
# unowned traffic meanwhile, so nothing is left to ramp down. A cell lost for good goes the same way, at once.
# - Nothing leaves DECOMMISSIONED: the cell is removed, and its id stays used.
TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(P, CA, (), _OPENS, "newcomers, by its weight"),
    Transition(CA, A, (), _OPENS, "newcomers, by its weight"),
    Transition(CA, CO, _ALONE, _OWNED, _NONE),
    Transition(CA, DI, _ALONE, "owned traffic; its share of unowned traffic falls to zero", _NONE),
    Transition(A, CO, _ALONE, _OWNED, _NONE),
    Transition(A, DI, _ALONE, "owned traffic; its share of unowned traffic falls to zero", _NONE),
    Transition(CO, A, (), _OPENS, "newcomers, by its weight"),
    Transition(CO, DI, (), _OWNED, _NONE),
    Transition(DI, A, (), _OPENS, "newcomers, by its weight"),
    Transition(DI, CO, (), _OWNED, _NONE),
    Transition(DI, DD, (Guard.RAMP_OVER, Guard.OTHERS_SERVE), _FALLS, _NONE),
    Transition(DD, DE, (), "none", _NONE),
    Transition(DD, CA, (), _OPENS, "newcomers, by its weight"),
    Transition(DD, P, (), "by operator override only, while it is rebuilt under its id", _NONE),
    *(Transition(state, Q, (), "none: answered 503 with Retry-After", _NONE) for state in QUARANTINABLE),
    Transition(Q, CA, (), "as before the quarantine", "as before the quarantine"),
    Transition(Q, A, (), "as before the quarantine", "as before the quarantine"),
    Transition(Q, CO, (), "as before the quarantine", "as before the quarantine"),
    Transition(Q, DI, (), _OWNED, _NONE),
)

SERVING: Final = frozenset({CA, A, CO, DI})
REMOVABLE: Final = frozenset({P, DE})
DRAIN_STEPS: Final = 10


def serves(state: CellState) -> bool:
    """Tell whether traffic that the cell owns reaches it."""
    return state in SERVING


def accepts_unowned(state: CellState) -> bool:
    """Tell whether unowned traffic may reach it: CANARY and ACTIVE, and DRAINING while its ramp runs."""
    return state in (CA, A, DI)


def accepts_newcomers(state: CellState) -> bool:
    """Tell whether a new customer may be placed there."""
    return state in (CA, A)


def reachable_by_override(state: CellState) -> bool:
    """Tell whether an operator's override reaches it."""
    return state is P or serves(state)


def allowed_moves(state: CellState, previous: CellState | None = None) -> tuple[CellState, ...]:
    """List where a cell may go. `previous` is where a quarantined one came from: it narrows the way back."""
    return tuple(
        move.target
        for move in TRANSITIONS
        if move.source is state and not (previous and state is Q and move.target not in (previous, DI))
    )


def transition(source: CellState, target: CellState) -> Transition | None:
    """Find the move in the table."""
    return next((move for move in TRANSITIONS if (move.source, move.target) == (source, target)), None)


def road(cell: Cell, targets: frozenset[CellState]) -> tuple[CellState, ...]:
    """Find the shortest way to one of the targets, without the state that the cell is in; empty: none."""
    if cell.state in targets:
        return ()
    ways: deque[tuple[CellState, ...]] = deque(
        (state,) for state in allowed_moves(cell.state, cell.previous_state)
    )
    seen = {cell.state}
    while ways:
        way = ways.popleft()
        if way[-1] in targets:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways.extend((*way, state) for state in allowed_moves(way[-1]) if state is not Q)
    return ()


def unowned_weight(cell: Cell, now: datetime) -> int:
    """Weigh a cell for traffic that nobody owns; draining, it falls to zero in ten even steps, rounded up."""
    if accepts_newcomers(cell.state):
        return cell.weight
    if cell.state is not DI:
        return 0
    return _weight_at(cell, _step_at(cell, now))


def next_step(cell: Cell, now: datetime) -> float | None:
    """Say in how many seconds the unowned weight changes by itself; None where it stays."""
    if cell.state is not DI or cell.drain is None:
        return None
    step = _step_at(cell, now)
    weight = _weight_at(cell, step)
    if weight == 0:
        return None
    change = next(later for later in range(step + 1, DRAIN_STEPS + 1) if _weight_at(cell, later) < weight)
    return (_started(cell) + change * _step_length(cell) - now) / timedelta(seconds=1)


def ramp_left(cell: Cell, now: datetime) -> float:
    """Say how many seconds a drain's ramp still takes; 0 where it is over or was never there."""
    if cell.drain is None:
        return 0.0
    end = _started(cell) + timedelta(seconds=cell.drain.seconds)
    return max(0.0, (end - now) / timedelta(seconds=1))


def _started(cell: Cell) -> datetime:
    started = forms.parse_utc(cell.drain.started_at) if cell.drain else None
    if started is None:
        raise AssertionError(f"cell {cell.id} drains since no known time: no View lets that in")
    return started


def _step_length(cell: Cell) -> timedelta:
    if cell.drain is None:
        raise AssertionError(f"cell {cell.id} is in DRAINING without a drain: no View lets that in")
    return timedelta(seconds=cell.drain.seconds) / DRAIN_STEPS


def _step_at(cell: Cell, now: datetime) -> int:
    length = _step_length(cell)
    if not length:
        return DRAIN_STEPS
    return min(DRAIN_STEPS, max(0, (now - _started(cell)) // length))


def _weight_at(cell: Cell, step: int) -> int:
    return -(-cell.weight * (DRAIN_STEPS - step) // DRAIN_STEPS)
