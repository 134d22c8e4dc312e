"""The history of rules: each ruleset that was in force, as a document of its own, up to a number of them.

A change writes the ruleset in force and its version in one transaction, so that history never says otherwise
than what was. The Topology Service plans with it. Third road: a call plans a `Txn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from topology.model import Problem, Stamp
from topology.planning import Outcome, Plan, Refusal, plan_document
from topology.store import MAX_TXN_BYTES, Txn
from topology.view import View

KIND: Final = "rules"
CURRENT: Final = "current"
KEPT: Final = 20
_NAME: Final = re.compile(r"version-(\d{6})\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """A ruleset that was applied. The last one is in force."""

    number: int
    body: Mapping[str, Any]
    stamp: Stamp


def versions(view: View) -> tuple[Version, ...]:
    """List what is kept, the oldest first. A ruleset from before there was a history is its version 1."""
    found = tuple(sorted(_kept(view), key=lambda version: version.number))
    if not found and (current := view.documents.get((KIND, CURRENT))):
        return (Version(1, current.body, current.stamp),)
    return found


def plan_rules(view: View, body: Mapping[str, Any], stamp: Stamp) -> Outcome:
    """Plan another ruleset: it is in force, it is a version, and the oldest ones go."""
    before = versions(view)
    wishes: list[tuple[str, Mapping[str, Any] | None, Stamp]] = [(CURRENT, body, stamp)]
    if before and not _kept(view):
        wishes.append((_name(1), before[0].body, before[0].stamp))
    number = before[-1].number + 1 if before else 1
    wishes.append((_name(number), body, stamp))
    wishes += [(_name(old.number), None, stamp) for old in before[: max(0, len(before) + 1 - KEPT)]]
    plans: list[Plan] = []
    for name, wish, by in wishes:
        outcome = plan_document(view, KIND, name, wish, by)
        if not isinstance(outcome, Plan):
            return outcome
        plans.append(outcome)
    puts = tuple(each for plan in plans for each in plan.txn.puts)
    size = sum(len(key) + len(value) for key, value in puts)
    if size > MAX_TXN_BYTES:
        message = f"the ruleset and its copy are {size} bytes: keep both within {MAX_TXN_BYTES}"
        return Refusal(problems=(Problem(field="rules", message=message),))
    txn = Txn(
        compares=tuple(each for plan in plans for each in plan.txn.compares),
        puts=puts,
        deletes=tuple(each for plan in plans for each in plan.txn.deletes),
    )
    words = f"rules: version {number}, {len(body.get('rules', ()))} rules"
    return Plan(txn=txn, summary=(words,), keys=plans[0].keys)


def version_to_restore(view: View, number: int | None) -> Version | Problem:
    """Give the version to put in force again: the one before the last, or the one named."""
    kept = versions(view)
    if number is None:
        if len(kept) < 2:
            return Problem(field="version", message="there is no earlier version: nothing to go back to")
        return kept[-2]
    found = [version for version in kept if version.number == number]
    if not found:
        known = f"{kept[0].number} to {kept[-1].number}" if kept else "none"
        return Problem(field="version", message=f"version {number} is not kept: there are {known}")
    return found[0]


def _kept(view: View) -> tuple[Version, ...]:
    return tuple(
        Version(int(found[1]), document.body, document.stamp)
        for (kind, name), document in view.documents.items()
        if kind == KIND and (found := _NAME.match(name))
    )


def _name(number: int) -> str:
    return f"version-{number:06d}"
