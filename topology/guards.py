"""Why a planned change must not be made: what a cell would share, what is fixed, what a move needs first.

Planning asks before it makes a Txn. Every answer is a list of problems, each with its field and its fix; a
guard that leans on another cell also names it, so that the Txn can compare it. Third road: between a call and
its `Txn`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from topology import forms, lifecycle
from topology.lifecycle import Guard
from topology.model import MAX_DRAIN_SECONDS, Cell, CellState, Problem, SequenceRange
from topology.store import Compare
from topology.uniqueness import Register
from topology.view import View

_OR_FORCE = "or force it"
LEGACY_CELL: Final = 1
LEGACY_END: Final = 10**12 - 1
SHORTEST_SEQUENCE: Final = 10**11


def already_used(view: View, cell: Cell) -> Iterator[Problem]:
    """Say whether the id of a new cell has been used: by a cell, a removed one, or a record kept out."""
    if cell.id in view.cells:
        yield Problem(field="id", message=f"cell {cell.id} is there already: take an id that was never used")
        return
    if cell.id in view.retired:
        gone = view.retired[cell.id]
        since = f"removed at {gone.stamp.updated_at} by {gone.stamp.updated_by}"
        yield Problem(
            field="id", message=f"cell {cell.id} was {since}: ids are never used again, take a new one"
        )
        return
    for key in (view.keyspace.cell(cell.id), view.keyspace.retired(cell.id)):
        if key in view.quarantined:
            reason = view.quarantined[key].reason
            yield Problem(
                field="id", message=f"the record at {key} is kept out ({reason}): mend or remove it first"
            )


def shared(view: View, cell: Cell) -> Iterator[Problem]:
    """Say what the cell would share with any other: alive, removed, or kept out as a contradiction."""
    held = Register((*view.cells.values(), *view.retired.values()))
    others = [held, *(Register((was.record,)) for was in view.quarantined.values() if was.record)]
    found = (problem for register in others for problem in register.clashes(cell) if problem.field != "id")
    yield from dict.fromkeys(found)
    places = {place: at for at, place in enumerate(places_of(cell))}
    for other in view.cells.values():
        if other.id == cell.id:
            continue
        if other.name == cell.name:
            yield Problem(field="name", message=f"{cell.name!r} is cell {other.id}'s: take another one")
        for place in places_of(other):
            if place in places:
                message = f"{place[0]} port {place[1]} is cell {other.id}'s: an endpoint belongs to one cell"
                yield Problem(field=f"endpoints[{places[place]}]", message=message)


def places_of(cell: Cell) -> tuple[tuple[str, int], ...]:
    """Name where a cell answers, each place in one spelling."""
    return tuple((forms.canonical_host(each.host), each.port) for each in cell.endpoints)


def fixed(before: Cell, after: Cell) -> Iterator[Problem]:
    """Say what an update changes that has a road of its own, or none."""
    for name in ("state", "previous_state", "drain"):
        if getattr(before, name) != getattr(after, name):
            yield Problem(field=name, message="does not change here: set the cell's state")
    if before.session_prefix != after.session_prefix:
        fix = f"leave it {before.session_prefix!r}"
        yield Problem(
            field="session_prefix", message=f"never changes, or the cell's sessions are lost: {fix}"
        )
    if after.epoch < before.epoch:
        yield Problem(field="epoch", message=f"never falls: leave it at {before.epoch} or raise it")
    for old in before.sequence_ranges:
        if not any(new.minval <= old.minval and old.maxval <= new.maxval for new in after.sequence_ranges):
            message = (
                f"{old.minval} to {old.maxval} may be in use: keep it, ranges are only added or extended"
            )
            yield Problem(field="sequence_ranges", message=message)


def unusual_sequences(cell: Cell, before: tuple[SequenceRange, ...] = ()) -> Iterator[Problem]:
    """Say which new ranges lie or end where no cell's should: a cell that lives long runs out of a short one,
    and no id is ever taken back. Cell 1 is the legacy cell, whose ids were there before there were cells.
    """
    for at, sequence in enumerate(cell.sequence_ranges):
        if sequence in before:
            continue
        path = f"sequence_ranges[{at}]"
        if cell.id == LEGACY_CELL:
            if sequence.maxval > LEGACY_END:
                message = f"{sequence.maxval} is beyond cell 1's: end at {LEGACY_END}, {_OR_FORCE}"
                yield Problem(field=f"{path}.maxval", message=message)
            continue
        if sequence.minval <= LEGACY_END:
            message = f"ids up to {LEGACY_END} are cell 1's: start at {LEGACY_END + 1} or above, {_OR_FORCE}"
            yield Problem(field=f"{path}.minval", message=message)
        if 0 <= (length := sequence.maxval - sequence.minval + 1) < SHORTEST_SEQUENCE:
            message = f"holds {length} ids: make it {SHORTEST_SEQUENCE} at least, {_OR_FORCE}"
            yield Problem(field=path, message=message)


def forbidden(cell: Cell, to: CellState, over_seconds: int | None) -> Iterator[Problem]:
    """Say why a move is not in the table, and which are."""
    allowed = lifecycle.allowed_moves(cell.state, cell.previous_state)
    if to not in allowed:
        away = "is there already" if to is cell.state else f"does not go from {cell.state} to {to}"
        moves = (
            f"from {cell.state} it may go to {', '.join(allowed)}" if allowed else "it can only be removed"
        )
        yield Problem(field="state", message=f"cell {cell.id} {away}: {moves}")
    if over_seconds is None:
        return
    if to is not CellState.DRAINING:
        yield Problem(field="over_seconds", message=f"has no meaning on the way to {to}: leave it out")
    elif not 0 <= over_seconds <= MAX_DRAIN_SECONDS:
        message = f"{over_seconds} is out of range: use 0 to {MAX_DRAIN_SECONDS}"
        yield Problem(field="over_seconds", message=message)


def unmet(view: View, cell: Cell, guards: Iterable[Guard], now: datetime) -> Iterator[Problem]:
    """Say which guards of a move do not hold."""
    for guard in guards:
        match guard:
            case Guard.OTHERS_TAKE_UNOWNED:
                if cell.weight and not _others(view, cell.id, guard):
                    message = f"no other cell takes unowned traffic: bring one to ACTIVE first, {_OR_FORCE}"
                    yield Problem(field="state", message=message)
            case Guard.OTHERS_SERVE:
                if not _others(view, cell.id, guard):
                    message = f"no other cell serves: bring one to ACTIVE first, {_OR_FORCE}"
                    yield Problem(field="state", message=message)
            case Guard.RAMP_OVER:
                left = lifecycle.ramp_left(cell, now)
                if left > 0:
                    until = forms.format_utc(now + timedelta(seconds=left))
                    message = f"the drain runs until {until}: wait {left:.0f} s, {_OR_FORCE}"
                    yield Problem(field="state", message=message)


def weightless(view: View, cell: Cell, weight: int) -> Iterator[Problem]:
    """Say why a cell that takes unowned traffic may not be given a weight of 0: nobody else would take it."""
    takes = lifecycle.accepts_newcomers(cell.state) and cell.weight > 0
    if weight == 0 and takes and not _others(view, cell.id, Guard.OTHERS_TAKE_UNOWNED):
        message = f"no other cell takes unowned traffic: give another one a weight first, {_OR_FORCE}"
        yield Problem(field="weight", message=message)


def witnesses(view: View, cell: Cell, guards: Iterable[Guard]) -> tuple[Compare, ...]:
    """Name, for each guard that leans on another cell, one that it leans on, as it was seen."""
    keys = dict.fromkeys(
        view.keyspace.cell(others[0].id) for guard in guards if (others := _others(view, cell.id, guard))
    )
    return tuple(Compare(key, view.mod_revisions[key]) for key in keys)


def not_removable(view: View, cells: Iterable[Cell]) -> Iterator[Problem]:
    """Say which cells may not go yet, by which road they may, and whether too much would go."""
    going = {cell.id: cell for cell in cells}
    for cell in going.values():
        if cell.state not in lifecycle.REMOVABLE:
            road = " → ".join(lifecycle.road(cell, lifecycle.REMOVABLE))
            yield Problem(
                field=f"cells.{cell.id}.state",
                message=f"a cell in {cell.state} is not removed: take it through {road} first, {_OR_FORCE}",
            )
    staying = [cell for cell in view.cells.values() if cell.id not in going]
    if going and not staying:
        message = f"this removes every cell there is ({len(going)}): keep one, {_OR_FORCE}"
        yield Problem(field="cells", message=message)
    elif any(lifecycle.serves(cell.state) for cell in going.values()) and not any(
        lifecycle.serves(cell.state) for cell in staying
    ):
        message = f"this removes every cell that serves: bring another one to ACTIVE first, {_OR_FORCE}"
        yield Problem(field="cells", message=message)


def _others(view: View, cell_id: int, guard: Guard) -> list[Cell]:
    others = [cell for cell in view.cells.values() if cell.id != cell_id]
    if guard is Guard.OTHERS_TAKE_UNOWNED:
        return [cell for cell in others if lifecycle.accepts_newcomers(cell.state) and cell.weight]
    if guard is Guard.OTHERS_SERVE:
        return [cell for cell in others if lifecycle.serves(cell.state)]
    return []
