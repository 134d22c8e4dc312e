"""What a client of moves asks and is told, step by step, without asking: wishes, orders, how a move stands.

Both kinds of clients carry the steps out. What begins a move is repeated, for it has an id; an order is not.
Third road: the wish, before it is a `Txn`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from pb.cellplane.topology.v1 import moves_pb2 as wire
from pb.cellplane.topology.v1 import transfer_pb2
from topology.client.calls import Call, Patience, Persistence, Steps
from topology.moves.model import Order, Step
from topology.service.moves_wire import step_number, step_of

_METHODS: Final = {
    Order.CONTINUE: "ContinueMove",
    Order.SWITCH_BACK: "SwitchMoveBack",
    Order.ABORT: "AbortMove",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """Owners with the epochs at which they are, and where they are to go together.

    Without a window the test ends by a person's word. The id makes the wish one move, however often it is
    sent; keep it to send it again.
    """

    owners: tuple[tuple[str, int], ...]
    from_cell: int
    to_cell: int
    reason: str
    test_window: timedelta = timedelta()
    ask_before: tuple[Step, ...] = ()
    force: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class MoveEntry:
    """One line of a move's audit record."""

    at: datetime
    step: Step
    what: str
    by: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveState:
    """How a move stands. `waiting` says why its step is not over, `blocked` that it waits for a person."""

    id: str
    owners: tuple[tuple[str, int], ...]
    from_cell: int
    to_cell: int
    step: Step
    since: datetime
    waiting: str
    blocked: bool
    ended: bool
    records: int
    history: tuple[MoveEntry, ...]
    started_by: str
    reason: str
    revision: int


@dataclass(frozen=True, slots=True)
class MoveBegun:
    """A move, what will be done, and how things stand. Revision 0: this was a dry run."""

    move: MoveState
    plan: tuple[tuple[Step, str, str, str], ...]
    """Of each step: what it does, what it waits for, what of the application is called."""
    summary: tuple[str, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves, without their history, and who carries them on; empty: nobody at the moment."""

    moves: tuple[MoveState, ...]
    leader: str


class MoveSteps:
    """The steps of a client's calls."""

    def __init__(self, persistence: Persistence) -> None:
        self._repeated = persistence.repeated
        self._patience: Patience = persistence.patience

    def start(self, wish: MoveWish, *, dry_run: bool) -> Steps[MoveBegun]:
        """Begin a move, or say what it would be."""
        request = wire.StartMoveRequest(
            request_id=wish.id,
            owners=[
                transfer_pb2.OwnerAtEpoch(owner=name, expected_epoch=epoch) for name, epoch in wish.owners
            ],
            from_cell=wish.from_cell,
            to_cell=wish.to_cell,
            reason=wish.reason,
            dry_run=dry_run,
            force=wish.force,
            ask_before=[step_number(step) for step in wish.ask_before],
        )
        if wish.test_window:
            window = Duration()
            window.FromTimedelta(wish.test_window)
            request.test_window.CopyFrom(window)
        answer = yield from self._repeated("StartMove", request, self._patience.batch)
        return MoveBegun(
            state_of(answer.move),
            tuple((step_of(each.step), each.does, each.gate, each.hook) for each in answer.plan),
            tuple(answer.summary),
            answer.repeated,
        )

    def tell(
        self, move_id: str, order: Order, reason: str, expected: Step | None, *, dry_run: bool
    ) -> Steps[MoveState]:
        """Say what a person wants."""
        request = wire.MoveOrderRequest(move_id=move_id, reason=reason, dry_run=dry_run)
        if expected is not None:
            request.expected_step = step_number(expected)
        answer: Any = yield Call(_METHODS[order], request, self._patience.batch)
        return state_of(answer.move)

    def get(self, move_id: str) -> Steps[MoveState]:
        """Look a move up."""
        request = wire.GetMoveRequest(move_id=move_id)
        answer = yield from self._repeated("GetMove", request, self._patience.listing)
        return state_of(answer.move)

    def list(self, owner: str, *, ended: bool) -> Steps[Moves]:
        """Give the moves that go on, or all on record."""
        request = wire.ListMovesRequest(all=ended, owner=owner)
        answer = yield from self._repeated("ListMoves", request, self._patience.listing)
        return Moves(tuple(state_of(each) for each in answer.moves), answer.leader)


def state_of(message: wire.Move) -> MoveState:
    """Read how a move stands."""
    return MoveState(
        id=message.id,
        owners=tuple((each.owner, each.expected_epoch) for each in message.owners),
        from_cell=message.from_cell,
        to_cell=message.to_cell,
        step=step_of(message.step),
        since=message.since.ToDatetime(UTC),
        waiting=message.waiting,
        blocked=message.blocked,
        ended=message.ended,
        records=message.records,
        history=tuple(
            MoveEntry(each.at.ToDatetime(UTC), step_of(each.step), each.what, each.by, each.words)
            for each in message.history
        ),
        started_by=message.started_by,
        reason=message.reason,
        revision=message.revision,
    )
