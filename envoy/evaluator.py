"""The reference evaluator: what a request is, and which cell the rules send it to.

It says in plain Python what the generated route table and Lua make Envoy do; `tests/integration` sends the
same requests through both. Commands use it to explain a request; it is never on the path of one. It draws no
lots: where weights divide, it names the candidates. `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from envoy.classification import BUCKETS, MAX_VALUES, ClassificationKey, KeyType
from envoy.decision import BLOCKED, BLOCKED_STATUS, Decision, Explanation, Lookup, Outcome, Silence, Step
from envoy.extraction import Extracted, NoMatch, Passed, extract
from envoy.match_rules import Classify, MatchRule, Otherwise, Reject, Skip, ToCell, ToCluster
from envoy.paths import normalise
from envoy.plain_rules import at_cell, by_default, by_path, by_session, overridden
from envoy.request import Request
from envoy.ruleset import (
    DefaultRule,
    OverrideRule,
    PathPrefixRule,
    Rule,
    Ruleset,
    SessionCookieRule,
    ruleset_at,
)
from envoy.standing import Access, Standing, fixed_cluster_name, standing
from topology.overrides import overrides_of
from topology.view import View


def decide(
    ruleset: Ruleset,
    view: View,
    request: Request,
    now: datetime,
    *,
    merge_slashes: bool = True,
    lookup: Lookup | None = None,
) -> Decision:
    """Say where the edge sends a request. `merge_slashes` is as in the edge's settings."""
    return explain(ruleset, view, request, now, merge_slashes=merge_slashes, lookup=lookup).decision


def explain(
    ruleset: Ruleset,
    view: View,
    request: Request,
    now: datetime,
    *,
    merge_slashes: bool = True,
    lookup: Lookup | None = None,
) -> Explanation:
    """Decide, and say what each rule had to say. Without `lookup` nobody answers for claims."""
    standings = standings_at(view, now)
    return explain_among(
        ruleset_at(ruleset, now), standings, request, merge_slashes=merge_slashes, lookup=lookup
    )


def standings_at(view: View, now: datetime) -> Mapping[int, Standing]:
    """Say how all cells stand at this moment."""
    passed = overrides_of(view.documents).passed(now)
    return {cell.id: standing(cell, now, passed=cell.id in passed) for cell in view.cells.values()}


def explain_among(
    ruleset: Ruleset,
    standings: Mapping[int, Standing],
    request: Request,
    *,
    merge_slashes: bool = True,
    lookup: Lookup | None = None,
) -> Explanation:
    """Explain, for who decides many requests while cells stand as they do."""
    path = normalise(request.path, merge_slashes=merge_slashes)
    if path is None:
        return Explanation(Decision(outcome=Outcome.BAD_PATH), None, ())
    asked = _Asked(ruleset, standings, request, path, lookup)
    steps: list[Step] = []
    for rule in ruleset.rules:
        step = asked.ask(rule)
        steps.append(step)
        if step.decision is not None:
            skips = tuple((each.rule, each.skip) for each in steps if each.skip is not None)
            return Explanation(replace(step.decision, skips=skips), path, tuple(steps))
    raise AssertionError("a ruleset ends with its default, which answers everything")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, and all that rules need to know of it."""

    ruleset: Ruleset
    standings: Mapping[int, Standing]
    request: Request
    path: str
    lookup: Lookup | None

    def ask(self, rule: Rule) -> Step:
        found: Decision | Skip | None
        match rule:
            case OverrideRule():
                found = overridden(rule, self.standings, self.request)
            case PathPrefixRule():
                found = by_path(rule, self.standings, self.path)
            case SessionCookieRule():
                found = by_session(rule, self.standings, self.request)
            case MatchRule():
                return self._match(rule)
            case DefaultRule():
                found = by_default(self.standings)
        if isinstance(found, Decision):
            return Step(rule=rule.name, decision=replace(found, rule=rule.name))
        if found is not None:
            return Step(rule=rule.name, skip=found, why=_WHY[found])
        return Step(rule=rule.name, why="it does not match")

    def _match(self, rule: MatchRule) -> Step:
        match extract(rule, self.request, self.path, self.ruleset.reserved):
            case NoMatch(why):
                return Step(rule=rule.name, why=why)
            case Passed(skip, why):
                return self._otherwise(rule, skip, why, ())
            case Extracted(keys):
                return self._act(rule, keys)

    def _act(self, rule: MatchRule, keys: tuple[ClassificationKey, ...]) -> Step:
        match rule.action:
            case Reject(status, _):
                decision = Decision(outcome=Outcome.REJECTED, rule=rule.name, status=status)
                return Step(rule=rule.name, decision=decision)
            case ToCluster(name):
                cluster = fixed_cluster_name(name)
                return Step(
                    rule=rule.name, decision=Decision(outcome=Outcome.FIXED, rule=rule.name, cluster=cluster)
                )
            case ToCell(cell_id):
                found = self._owned(cell_id)
                if isinstance(found, Decision):
                    return Step(rule=rule.name, decision=replace(found, rule=rule.name))
                return self._otherwise(rule, Skip.UNKNOWN, f"cell {cell_id} does not serve", ())
            case Classify():
                return self._classify(rule, keys)

    def _classify(self, rule: MatchRule, keys: tuple[ClassificationKey, ...]) -> Step:
        named = False
        for key in keys:
            if key.type in BUCKETS:
                if len(key.values) > MAX_VALUES:
                    return self._otherwise(rule, Skip.AMBIGUOUS, f"it names more than {MAX_VALUES}", keys)
                owners = self._owners(key)
                if isinstance(owners, Silence):
                    return self._otherwise(rule, Skip.UNDECIDED, f"nobody is there to look up {key}", keys)
                if len(owners) > 1:
                    return self._otherwise(rule, Skip.AMBIGUOUS, "it names what several cells own", keys)
                if not owners:
                    continue
                found = self._owned(owners.pop())
            else:
                found = self._local(key)
            named = True
            if isinstance(found, Decision):
                return Step(rule=rule.name, keys=keys, decision=replace(found, rule=rule.name, key=key))
        if named:
            return self._otherwise(rule, Skip.UNKNOWN, _WHY[Skip.UNKNOWN], keys)
        return self._otherwise(rule, Skip.NOT_FOUND, "nobody owns it", keys)

    def _owners(self, key: ClassificationKey) -> set[int] | Silence:
        owners: set[int] = set()
        for value in filter(None, key.values):
            owner = (
                Silence.UNANSWERED if self.lookup is None else self.lookup(ClassificationKey(key.type, value))
            )
            if isinstance(owner, Silence):
                return owner
            if owner is not None:
                owners.add(owner)
        return owners

    def _local(self, key: ClassificationKey) -> Decision | Skip:
        for known in self.standings.values():
            if key.type is KeyType.FIRST_CELL:
                if known.owned is not Access.CLOSED:
                    return at_cell(known.cell_id, known.owned)
            elif key.value == (str(known.cell_id) if key.type is KeyType.CELL_ID else known.session_prefix):
                return at_cell(known.cell_id, known.owned)
        return Skip.UNKNOWN

    def _owned(self, cell_id: int) -> Decision | Skip:
        if cell_id == BLOCKED:
            return Decision(outcome=Outcome.REJECTED, status=BLOCKED_STATUS)
        known = self.standings.get(cell_id)
        return at_cell(known.cell_id, known.owned) if known else Skip.UNKNOWN

    def _otherwise(self, rule: MatchRule, skip: Skip, why: str, keys: tuple[ClassificationKey, ...]) -> Step:
        """Take what the rule says of an outcome that is no cell."""
        policy = rule.policy(skip)
        decision: Decision | None = None
        if policy is Otherwise.DEFAULT:
            decision = replace(by_default(self.standings), rule=self.ruleset.rules[-1].name)
        elif policy is not Otherwise.NEXT:
            status = policy.status if isinstance(policy, Reject) else int(policy)
            decision = Decision(outcome=Outcome.REJECTED, rule=rule.name, status=status)
        return Step(rule=rule.name, keys=keys, skip=skip, why=why, decision=decision)


_WHY: Final[Mapping[Skip, str]] = {
    Skip.UNKNOWN: "it names no cell that serves",
    Skip.AMBIGUOUS: "the cookie came more than once",
    Skip.REFUSED: "whoever asks may not override",
}
