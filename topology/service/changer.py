"""How a call changes the topology: every step planned before the first is made, then one after the other.

The services of cells and documents hand it steps. What a caller was shown is what is done, or nothing. Third
road: a service call plans a `Txn`; its effect comes back as an Event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NoReturn, Protocol, TypeVar

import grpc

from pb.cellplane.topology.v1 import cells_pb2
from topology import forms
from topology.apply import Applied, apply, read_view
from topology.checks import stamp_problems
from topology.keys import Keyspace
from topology.model import Cell, Stamp
from topology.planning import Outcome, Overtaken, Plan, Refusal
from topology.service import audit
from topology.service.cells_wire import cell_message
from topology.service.failure import Failure, invalid, invalid_fields
from topology.service.gate import current_caller
from topology.steps import Step, after, as_shown, overtaken_by
from topology.store import Compare, Store
from topology.view import View

T = TypeVar("T")
RelyOn = Callable[[], Awaitable[tuple[Compare, ...]]]
MAX_STEPS: Final = 3000
_LINES_TOLD: Final = 20


class Emptiness(Protocol):
    """Sees to it that cells on which a change relies come to own nothing meanwhile."""

    async def relied_on(self, cells: Collection[int], work: Callable[[RelyOn], Awaitable[T]]) -> T:
        """Make the change, which asks before each attempt to commit it."""
        ...


class Changer:
    """Makes changes on one store. Without `emptiness` no change relies on a cell that owns nothing."""

    def __init__(self, store: Store, keyspace: Keyspace, emptiness: Emptiness | None = None) -> None:
        self._store = store
        self._keyspace = keyspace
        self._emptiness = emptiness

    async def change(
        self, steps: Sequence[Step], *, dry_run: bool, shown: Sequence[str] = ()
    ) -> cells_pb2.ChangeResponse:
        """Make the steps in order, none unless all can be planned. Raises Failure where one is not made.

        `shown`: what the caller was told that would be done, if it was told anything.
        """
        if not 1 <= len(steps) <= MAX_STEPS:
            raise invalid(f"changes: {len(steps)} are named: name 1 to {MAX_STEPS}")
        if self._emptiness is not None and (cells := {each for step in steps for each in step.empties}):
            await self._emptiness.relied_on(cells, lambda relied_on: relied_on())
        plans = await self._planned(steps, shown)
        summary = tuple(line for plan in plans for line in plan.summary)
        if dry_run:
            return _changed(0, summary, plans[-1].cell)
        done: list[str] = []
        last = Applied(revision=0, cell=None)
        for step, plan in zip(steps, plans, strict=True):
            try:
                outcome = await self._made(step, as_shown(step, plan))
                if not isinstance(outcome, Applied):
                    _stop(outcome, step.what)
            except Failure as failure:
                failure.metadata = {**failure.metadata, "done": _told(done)}
                raise
            last = outcome
            done += plan.summary
            audit.topology_changed(outcome.revision, plan.summary)
        return _changed(last.revision, summary, last.cell)

    async def _made(self, step: Step, plan: Callable[[View], Outcome]) -> Applied | Refusal | Overtaken:
        if not step.empties:
            return await apply(self._store, self._keyspace, plan)
        if self._emptiness is None:
            raise AssertionError(f"{step.what}: nobody here knows what cells own")
        return await self._emptiness.relied_on(
            step.empties, lambda relied_on: apply(self._store, self._keyspace, plan, relied_on)
        )

    async def _planned(self, steps: Sequence[Step], shown: Sequence[str]) -> list[Plan]:
        view = await read_view(self._store, self._keyspace)
        plans: list[Plan] = []
        for step in steps:
            try:
                outcome = step.plan(view)
            except Failure as failure:
                failure.metadata = {**failure.metadata, "what": step.what}
                raise
            if not isinstance(outcome, Plan):
                _stop(outcome, step.what)
            plans.append(outcome)
            view = after(view, outcome)
            await asyncio.sleep(0)  # a long list must not keep everybody else waiting
        now = [line for plan in plans for line in plan.summary]
        if shown and list(shown) != now:
            differing = next(
                (plan for plan in plans if not set(plan.summary) <= set(shown)),
                plans[0],
            )
            _stop(overtaken_by(view, differing), ", ".join(dict.fromkeys(step.what for step in steps)))
        return plans


def stamp_of_caller(reason: str) -> Stamp:
    """Say who does it, now, and why. Raises Failure where that can't be written down."""
    stamp = Stamp(
        updated_by=current_caller().name, updated_at=forms.format_utc(datetime.now(UTC)), reason=reason
    )
    if problems := stamp_problems(stamp):
        raise invalid_fields(problems, grpc.StatusCode.INVALID_ARGUMENT, "STAMP_INVALID")
    return stamp


def _changed(revision: int, summary: tuple[str, ...], cell: Cell | None) -> cells_pb2.ChangeResponse:
    message = None if cell is None else cell_message(cell, revision)
    return cells_pb2.ChangeResponse(revision=revision, summary=summary, cell=message)


def _stop(outcome: Refusal | Overtaken, what: str) -> NoReturn:
    if isinstance(outcome, Refusal):
        failure = invalid_fields(outcome.problems, grpc.StatusCode.FAILED_PRECONDITION, "REFUSED")
        failure.metadata = {"what": what}
        raise failure
    words = (
        f"somebody else changed {outcome.key} meanwhile ({'; '.join(outcome.changes)}): look, then try again"
    )
    metadata = {
        "what": what,
        "key": outcome.key,
        "revision": str(outcome.revision),
        "changes": _told(outcome.changes),
    }
    raise Failure(grpc.StatusCode.ABORTED, words, "OVERTAKEN", metadata)


def _told(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _LINES_TOLD} more"] if len(lines) > _LINES_TOLD else []
    return "\n".join([*(line[:200] for line in lines[:_LINES_TOLD]), *more])
