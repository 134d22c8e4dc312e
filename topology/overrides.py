"""Overrides by operators, each until a moment: an owner pinned to a cell or blocked, a cell passed over.

Documents of the topology. Translators, the evaluator and ext_proc servers ask what is in force at a moment;
what is over has no effect, whether anybody deletes it or not. Pure. `View -> Snapshot`, `Request ->
Decision`, and the third road for what plans them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from topology import forms
from topology.claims.model import SubjectType
from topology.documents import plan_document
from topology.model import MAX_ID, Document, Problem, Stamp
from topology.plan import Outcome, Plan, Refusal
from topology.view import View

KIND: Final = "overrides"
LONGEST: Final = timedelta(days=30)
_KINDS: Final = tuple(each.name for each in SubjectType if each)
_OWNER: Final = re.compile(rf"(?:{'|'.join(_KINDS)})/[1-9][0-9]{{0,18}}\Z")
_EXAMPLES: Final = ", ".join(f"{each}/42" for each in _KINDS)
_CELL: Final = re.compile(r"cell/([1-9][0-9]{0,9})\Z")


class Action(StrEnum):
    """What an override does."""

    PIN = "pin"
    """The owner's requests go to this cell, wherever its claims are."""
    BLOCK = "block"
    """The owner's requests are refused."""
    PASS = "pass"  # noqa: S105
    """The cell is passed over, as if it did not serve: what names it goes on to the next rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One override. `name` is an owner like ORGANIZATION/42, or a cell like cell/3; `cell_id` is of a pin."""

    name: str
    action: Action
    until: datetime
    cell_id: int = 0
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Overrides:
    """All that are on record, whatever the time."""

    owners: Mapping[str, Override]
    cells: Mapping[int, Override]

    def of_owner(self, name: str, now: datetime) -> Override | None:
        """Give what is in force for an owner."""
        found = self.owners.get(name)
        return found if found is not None and now < found.until else None

    def passed(self, now: datetime) -> frozenset[int]:
        """Name the cells that are passed over."""
        return frozenset(cell_id for cell_id, each in self.cells.items() if now < each.until)

    def next_change_seconds(self, now: datetime) -> float | None:
        """Say when a cell is next passed over no more."""
        ends = (each.until for each in self.cells.values() if now < each.until)
        first = min(ends, default=None)
        return None if first is None else (first - now).total_seconds()


NONE: Final = Overrides({}, {})


def overrides_of(documents: Mapping[tuple[str, str], Document]) -> Overrides:
    """Read all; a document that is not ours to read is left out."""
    owners: dict[str, Override] = {}
    cells: dict[int, Override] = {}
    for (kind, name), document in documents.items():
        if kind != KIND:
            continue
        found = _read(name, document.body, document.stamp)
        if isinstance(found, Override) and (cell := _CELL.match(name)):
            cells[int(cell[1])] = found
        elif isinstance(found, Override):
            owners[name] = found
    return Overrides(owners, cells) if owners or cells else NONE


class OverridesOf:
    """The overrides of the newest View, read anew only where documents changed."""

    def __init__(self) -> None:
        self._documents: Mapping[tuple[str, str], Document] | None = None
        self._found = NONE

    def __call__(self, view: View) -> Overrides:
        """Give them."""
        if view.documents is not self._documents:
            self._documents, self._found = view.documents, overrides_of(view.documents)
        return self._found


def plan_override(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan an override written whole; without a body, its end."""
    before = view.documents.get((KIND, name))
    was = f", was {_told(_read(name, before.body, before.stamp))}" if before is not None else ""
    if body is None:
        return _summed(plan_document(view, KIND, name, None, stamp), f"{name}: no override any more{was}")
    found = _read(name, body, stamp)
    problems = tuple(_problems(view, found, stamp)) if isinstance(found, Override) else found
    if problems:
        return Refusal(problems=problems)
    return _summed(plan_document(view, KIND, name, body, stamp), f"{name}: {_told(found)}{was}")


def _summed(outcome: Outcome, words: str) -> Outcome:
    return replace(outcome, summary=(words,)) if isinstance(outcome, Plan) else outcome


def _told(found: Override | tuple[Problem, ...]) -> str:
    if not isinstance(found, Override):
        return "nothing that can be read"
    where = f" to cell {found.cell_id}" if found.cell_id else ""
    return f"{found.action}{where} until {forms.format_utc(found.until)[:19]}Z"


def _problems(view: View, override: Override, stamp: Stamp) -> Iterator[Problem]:
    now = forms.parse_utc(stamp.updated_at)
    if not stamp.reason.strip():
        yield Problem(field="reason", message="is empty: whoever is on call next has to know why")
    if now is not None and override.until <= now:
        yield Problem(field="until", message="is over already: name a moment to come")
    if now is not None and override.until - now > LONGEST:
        yield Problem(field="until", message=f"is more than {LONGEST.days} days away: renew it then")
    named = _CELL.match(override.name)
    cell_id = int(named[1]) if named else override.cell_id
    if cell_id and cell_id not in view.cells:
        yield Problem(field="cell", message=f"there is no cell {cell_id}: name one that is there")


def _read(name: str, body: Mapping[str, Any], stamp: Stamp) -> Override | tuple[Problem, ...]:
    problems: list[Problem] = []
    is_cell = _CELL.match(name) is not None
    if not is_cell and not _OWNER.match(name):
        problems.append(
            Problem(field="name", message=f"{name!r}: name an owner ({_EXAMPLES}), or a cell (cell/3)")
        )
    actions = (Action.PASS,) if is_cell else (Action.PIN, Action.BLOCK)
    action = body.get("action")
    if action not in actions:
        message = f"{action!r} is none for {name}: use {' or '.join(actions)}"
        problems.append(Problem(field="action", message=message))
    until = forms.parse_utc(str(body.get("until", "")))
    if until is None:
        problems.append(Problem(field="until", message="name a moment, like 2026-03-01T12:00:00Z"))
    cell_id = body.get("cell", 0)
    if not isinstance(cell_id, int) or (action == Action.PIN) != (0 < cell_id <= MAX_ID):
        problems.append(
            Problem(field="cell", message="a pin, and only a pin, names the cell that it leads to")
        )
    if unknown := sorted(set(body) - {"action", "until", "cell"}):
        problems.append(Problem(field=unknown[0], message="is no field: use action, until and cell"))
    if problems or until is None:
        return tuple(problems)
    return Override(name=name, action=Action(str(action)), until=until, cell_id=cell_id, stamp=stamp)
