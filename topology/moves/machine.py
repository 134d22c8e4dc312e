"""What becomes of a move: values in, the move as it is to be written out. No step is done twice.

The runner asks it after each look and writes what it gives, compared with what it read; the service asks
whether an order may be given. It reads no clock and knows no store. Third road: plans what a `Txn` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from topology import forms
from topology.claims.keys import is_uuid
from topology.claims.owners import FIRST_EPOCH, MAX_OWNERS, subject_of
from topology.model import MAX_ID, Problem, Stamp
from topology.moves.model import MAX_HISTORY, Entry, Happened, Move, Order, Said, Step
from topology.moves.steps import LEAVES_TO, ROWS

MAX_WINDOW_SECONDS: Final = 7 * 24 * 3600
ASKABLE: Final = (Step.FREEZE, Step.TRANSFER)
ZEROS: Final = 2
_WORDS: Final = 400
_GO_ON: Final = "a person's word: continue"


def move_problems(move: Move) -> Iterator[Problem]:
    """Say what is wrong with a wished move by itself."""
    if not is_uuid(move.id):
        yield Problem(field="request_id", message=f"{move.id[:64]!r} is no UUID: send a new one per move")
    yield from _owner_problems(move)
    for field, cell_id in (("from_cell", move.from_cell), ("to_cell", move.to_cell)):
        if not 1 <= cell_id <= MAX_ID:
            yield Problem(field=field, message=f"{cell_id} is no cell id: use 1 to {MAX_ID}")
    if move.from_cell == move.to_cell:
        yield Problem(field="to_cell", message=f"{move.to_cell} is where the owners are: name another")
    if not 0 <= move.window_seconds <= MAX_WINDOW_SECONDS:
        message = (
            f"{move.window_seconds} s is out of range: use up to {MAX_WINDOW_SECONDS} s, or 0 for a person"
        )
        yield Problem(field="test_window", message=message)
    for step in move.ask_before:
        if step not in ASKABLE:
            message = f"{step} is not asked before: use {' or '.join(ASKABLE)}"
            yield Problem(field="ask_before", message=message)


def _owner_problems(move: Move) -> Iterator[Problem]:
    names = [name for name, _ in move.owners]
    if not 1 <= len(names) <= MAX_OWNERS:
        yield Problem(field="owners", message=f"{len(names)} are named: name 1 to {MAX_OWNERS}")
    for at, (name, epoch) in enumerate(move.owners):
        if subject_of(name) is None:
            message = f"{name[:64]!r} is no owner: name one like ORGANIZATION/42"
            yield Problem(field=f"owners[{at}].owner", message=message)
        if name in names[:at]:
            yield Problem(field=f"owners[{at}].owner", message=f"{name} is named twice: name it once")
        if epoch < FIRST_EPOCH:
            message = f"{epoch} is none: epochs begin at {FIRST_EPOCH}, and the owner's is shown with it"
            yield Problem(field=f"owners[{at}].expected_epoch", message=message)


def begun(wish: Move, now: datetime) -> Move:
    """Give the record of a move that begins."""
    started = Entry(
        at=forms.format_utc(now),
        step=Step.PREPARE,
        what=Happened.STARTED,
        by=wish.stamp.updated_by,
        words=wish.stamp.reason,
    )
    return replace(wish, step=Step.PREPARE, since=forms.format_utc(now), history=(started,))


def owners_at(move: Move, *, back: bool) -> tuple[tuple[str, int], ...]:
    """Give the owners with the epochs at which a transfer finds them."""
    return tuple((name, epoch + 1 if back else epoch) for name, epoch in move.owners)


def stepped(move: Move, now: datetime, by: str, words: str) -> Move:
    """Give the move with its step done, at the next one."""
    after = ROWS[move.step].after
    moved = _noted(move, now, by, Happened.DONE, words)
    moved = _at(moved, after, now)
    if after in move.ask_before:
        return _noted(replace(moved, waiting=_GO_ON, blocked=True), now, by, Happened.BLOCKED, _GO_ON)
    return _noted(moved, now, by, Happened.ENDED, "") if moved.ended else moved


def waits(move: Move, words: str) -> Move:
    """Give the move with what it waits for; the same one where that is known."""
    words = words[:_WORDS]
    return (
        move
        if (move.waiting, move.blocked) == (words, False)
        else replace(move, waiting=words, blocked=False)
    )


def blocks(move: Move, now: datetime, by: str, words: str) -> Move:
    """Give the move that only a person takes further; the same one where that is known."""
    words = words[:_WORDS]
    if (move.waiting, move.blocked) == (words, True):
        return move
    return _noted(replace(move, waiting=words, blocked=True), now, by, Happened.BLOCKED, words)


def counted(move: Move, now: datetime, by: str, left: str) -> Move:
    """Give the move after another look at what is left to drain; `left` is empty where nothing is."""
    if not left:
        zeros = move.zeros + 1
        drained = replace(move, zeros=zeros, zero_at=forms.format_utc(now))
        return _noted(drained, now, by, Happened.ZERO, f"nothing is left, {zeros} of {ZEROS}")
    if move.zeros:
        move = _noted(replace(move, zeros=0, zero_at=""), now, by, Happened.NOT_ZERO, left[:_WORDS])
    return waits(move, left)


def since(moment: str, now: datetime) -> timedelta:
    """Say how long ago a written moment was; no moment was for ever ago."""
    found = forms.parse_utc(moment)
    return timedelta.max if found is None else now - found


def order_problem(move: Move, order: Order, expected: Step | None) -> Problem | None:
    """Say why an order may not be given now."""
    if move.ended:
        return Problem(
            field="move_id", message=f"move {move.id} is {move.step}: nothing can be done about it"
        )
    if expected is not None and move.step is not expected:
        message = f"the move is at {move.step} by now, not at {expected}: look, then say it again"
        return Problem(field="expected_step", message=message)
    if order is Order.CONTINUE:
        if move.step is Step.TEST or move.blocked:
            return None
        return Problem(
            field="move_id", message=f"{move.step} goes on by itself; it waits for {move.waiting or 'nobody'}"
        )
    if ROWS[move.step].leave is not order:
        ways = ROWS[move.step].leave
        way = (
            f"{ways.value.lower().replace('_', '-')} is the way out" if ways else "there is no way out of it"
        )
        return Problem(field="move_id", message=f"{order} is not possible at {move.step}: {way}")
    return None


def told(move: Move, order: Order, stamp: Stamp) -> Move:
    """Give the move with an order that is to be carried out."""
    said = Said(order=order, by=stamp.updated_by, at=stamp.updated_at, reason=stamp.reason)
    entry = Entry(
        at=said.at,
        step=move.step,
        what=Happened.ORDERED,
        by=said.by,
        words=f"{order}: {said.reason}".rstrip(": "),
    )
    return replace(move, said=said, history=_kept((*move.history, entry)))


def obeyed(move: Move, now: datetime, by: str) -> Move:
    """Carry an order out. An abort is carried out only where nothing has moved, which the caller knows."""
    said = move.said
    if said is None:
        return move
    free = replace(move, said=None, waiting="", blocked=False)
    if order_problem(move, said.order, None) is not None:
        return free  # it came when the step was over
    if said.order is Order.CONTINUE:
        return stepped(free, now, by, f"{said.by} went on") if move.step is Step.TEST else free
    return _at(free, LEAVES_TO[said.order], now)


def too_late(move: Move) -> Move:
    """Drop an abort that came when the claims had gone."""
    return replace(move, said=None, waiting="", blocked=False)


def _at(move: Move, step: Step, now: datetime) -> Move:
    """Give the move at the beginning of a step."""
    return replace(
        move,
        step=step,
        since=forms.format_utc(now),
        waiting="",
        blocked=False,
        hooked=False,
        zeros=0,
        zero_at="",
    )


def _noted(move: Move, now: datetime, by: str, what: Happened, words: str) -> Move:
    entry = Entry(at=forms.format_utc(now), step=move.step, what=what, by=by, words=words[:_WORDS])
    return replace(move, history=_kept((*move.history, entry)))


def _kept(history: Iterable[Entry]) -> tuple[Entry, ...]:
    """Keep the newest of what comes again and again, and all else."""
    entries = list(history)
    again = (Happened.ZERO, Happened.NOT_ZERO, Happened.BLOCKED)
    while len(entries) > MAX_HISTORY:
        entries.remove(next((each for each in entries if each.what in again), entries[1]))
    return tuple(entries)
