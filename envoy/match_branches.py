"""Rules of type match as branches of the route table.

What matchers can ask is asked by matchers. Rules that take something out of a request are read by Lua first
(`pending`), which leaves in a header where a request ends, and outcomes in the filter state; here they are
looked up, in the rule's place in the order. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from envoy import matchers
from envoy.asking import asking
from envoy.branches import Standings, counted_once
from envoy.classification import BUCKETS, KeyType
from envoy.conditions import holds
from envoy.decision import BLOCKED, BLOCKED_STATUS
from envoy.edge import Lookups
from envoy.leaves import Mark, at_cell, at_cluster, rejected
from envoy.lua_program import ASKING, END_HEADER, FIRST, end_of_key, key_state
from envoy.match_rules import (
    Classify,
    KeyTemplate,
    MatchRule,
    Otherwise,
    Reject,
    Skip,
    ToCell,
    ToCluster,
)
from envoy.matchers import (
    NOWHERE,
    PATH,
    Entry,
    OnMatch,
    all_of,
    entry,
    exactly,
    listed,
)
from envoy.standing import Access, Standing, fixed_cluster_name
from envoy.traffic import ORDINARY, Manners


@dataclass(frozen=True, slots=True)
class Ground:
    """What all branches for requests of some manners stand on. `fallback` is where the default leads.

    With `lookups` owners are asked for; with `limits` what clients steer is counted and limited; `left` are
    the cells that owners have left, and who is refused by one of `follows` is tried once more elsewhere.
    """

    standings: Standings
    retry_after_seconds: int
    reserved: frozenset[str]
    fallback: OnMatch
    manners: Manners = ORDINARY
    lookups: Lookups | None = None
    limits: bool = False
    left: Container[int] = ()
    follows: Container[int] = ()


def match_branch(rule: MatchRule, ground: Ground) -> tuple[Entry, ...]:
    """Make a rule's entries."""
    if rule.is_native:
        conditions = [holds(each, ground.reserved) for each in rule.conditions]
        return (entry(all_of(*conditions), listed(_native_ends(rule, ground))),)
    return (
        _always(exactly(matchers.filter_state(key_state(rule.name)), _outcomes(rule, ground))),
        _always(exactly(matchers.header(END_HEADER), _ends(rule, ground))),
    )


def together(branches: Iterable[tuple[Entry, ...]]) -> tuple[list[Entry], OnMatch | None]:
    """Part the entries of rules that Lua reads and that follow each other: why they were passed over, one by
    one; and where requests end, of all in one map, or in none where no cell serves: Envoy takes no empty map.
    """
    passed: list[Entry] = []
    ends = exactly(matchers.header(END_HEADER), {})
    for outcomes, own in branches:
        passed.append(outcomes)
        ends.matcher.matcher_tree.exact_match_map.MergeFrom(own.on_match.matcher.matcher_tree.exact_match_map)
    return passed, ends if ends.matcher.matcher_tree.exact_match_map.map else None


def _native_ends(rule: MatchRule, ground: Ground) -> Iterator[Entry]:
    if isinstance(rule.action, Classify):
        leaf = _first_cell(rule.name, ground) if rule.action.local else None
        if leaf is not None:
            yield _always(leaf)
        else:
            yield from _passed(rule, Skip.UNKNOWN, ground)
    else:
        yield from _act(rule, ground)


def _ends(rule: MatchRule, ground: Ground) -> dict[str, OnMatch]:
    """Give where each key leads."""
    keys = rule.action.keys if isinstance(rule.action, Classify) else ()
    return {
        end_of_key(rule.name, at, text): end
        for at, key in enumerate(keys, 1)
        for text, end in _leaves(rule.name, key, ground).items()
    }


def _outcomes(rule: MatchRule, ground: Ground) -> dict[str, OnMatch]:
    """Give what follows where no key leads anywhere, by the reason."""
    found = {
        skip.value: listed(_passed(rule, skip, ground))
        for skip in (Skip.AMBIGUOUS, Skip.MALFORMED, Skip.UNKNOWN, Skip.UNDECIDED, Skip.NOT_FOUND)
    }
    if ground.lookups and isinstance(rule.action, Classify) and rule.action.asks:
        found[ASKING] = asking(rule.name, ground.lookups)
    if not isinstance(rule.action, Classify):
        found["matched"] = listed(_act(rule, ground))
    return found


def _act(rule: MatchRule, ground: Ground) -> Iterator[Entry]:
    match rule.action:
        case Reject(status, body):
            yield _always(rejected(rule.name, status, body, ground.retry_after_seconds))
        case ToCluster(name):
            yield _always(at_cluster(rule.name, fixed_cluster_name(name), ground.manners))
        case ToCell(cell_id):
            cell = ground.standings.get(cell_id)
            if cell is not None and cell.owned is not Access.CLOSED:
                yield _always(_at(rule.name, cell, ground))
            else:
                yield from _passed(rule, Skip.UNKNOWN, ground)
        case Classify():
            raise AssertionError("a classify ends at its keys")


def _leaves(rule: str, key: KeyTemplate, ground: Ground) -> dict[str, OnMatch]:
    if key.type is KeyType.FIRST_CELL:
        first = _first_cell(rule, ground)
        return {} if first is None else {FIRST: first}
    # Who owns a claim the servers say; any other key the client says.
    mark = Mark.STEERED if ground.limits and key.type not in BUCKETS else Mark.NOTHING
    # Who was told to be there, and is refused, left that cell; others may be refused by any.
    apart = ground.left if key.type in BUCKETS else None
    found = {
        cell.session_prefix if key.type is KeyType.SESSION_PREFIX else str(cell.cell_id): _at(
            rule, cell, ground, mark, apart
        )
        for cell in ground.standings.values()
        if cell.owned is not Access.CLOSED
    }
    if key.type in BUCKETS and ground.lookups:
        body = "This is blocked for now, by an operator.\n"
        found[str(BLOCKED)] = rejected(rule, BLOCKED_STATUS, body, ground.retry_after_seconds)
    return found


def _first_cell(rule: str, ground: Ground) -> OnMatch | None:
    for cell in ground.standings.values():
        if cell.owned is not Access.CLOSED:
            return _at(rule, cell, ground)
    return None


def _at(
    rule: str,
    cell: Standing,
    ground: Ground,
    mark: Mark = Mark.NOTHING,
    left: Container[int] | None = None,
) -> OnMatch:
    """End at a cell. `left`: only from these who is refused is followed."""
    follows = cell.cell_id in ground.follows and (left is None or cell.cell_id in left)
    return at_cell(
        rule, cell.cell_id, cell.owned, ground.retry_after_seconds, ground.manners, mark, follows=follows
    )


def _passed(rule: MatchRule, skip: Skip, ground: Ground) -> Iterator[Entry]:
    """Count, and then do what the rule says of such an outcome."""
    yield entry(counted_once(rule.name, skip), NOWHERE)
    policy = rule.policy(skip)
    if policy is Otherwise.DEFAULT:
        yield _always(ground.fallback)
    elif policy is not Otherwise.NEXT:
        answer = policy if isinstance(policy, Reject) else _answer(int(policy), skip)
        yield _always(rejected(rule.name, answer.status, answer.body, ground.retry_after_seconds))


def _answer(status: int, skip: Skip) -> Reject:
    return Reject(status, f"This request could not be decided: {skip.value}.\n")


def _always(end: OnMatch) -> Entry:
    return entry(matchers.starts(PATH, "/"), end)
