"""Each kind of rule as a branch of the route table: entries that lead to leaves, or let the search go on.

`routes` asks for the branches in the ruleset's order; `match_branches` has those of type match. What is
passed over is counted, by rule and reason, as `cellplane.rule.<name>.<reason>.ip_parsing_failed` (see
`matchers.counted`). `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final

from envoy import matchers, sessions
from envoy.edge import IDENTITY_HEADER, PEER_STATE
from envoy.leaves import Mark, at_cell
from envoy.lua_program import passed_state
from envoy.match_rules import Skip
from envoy.matchers import (
    ANY_BYTES,
    NOWHERE,
    PATH,
    Entry,
    OnMatch,
    Predicate,
    all_of,
    entry,
    listed,
    negated,
    quoted,
)
from envoy.paths import above
from envoy.ruleset import DefaultRule, OverrideRule, PathPrefixRule, Rule, SessionCookieRule
from envoy.standing import Access, Standing, cluster_name
from envoy.traffic import ORDINARY, Manners

Standings = Mapping[int, Standing]
PlainRule = OverrideRule | PathPrefixRule | SessionCookieRule | DefaultRule

_ANY_PATH: Final = matchers.starts(PATH, "/")


def branch(
    rule: PlainRule,
    standings: Standings,
    retry_after_seconds: int,
    manners: Manners = ORDINARY,
    *,
    limits: bool = False,
    follows: Container[int] = (),
) -> tuple[Entry, ...]:
    """Make a rule's entries; the default has none, for it is what is left when no entry leads anywhere.

    `limits`: what clients steer is counted and limited. Who is refused by a cell of `follows` is tried once
    more where they are; but where an operator sent it, a refusal is the answer.
    """
    match rule:
        case OverrideRule():
            return _override(rule, standings, retry_after_seconds, manners)
        case PathPrefixRule():
            return _paths(rule, standings, retry_after_seconds, manners, follows)
        case SessionCookieRule():
            return _sessions(rule, standings, retry_after_seconds, manners, follows, limits=limits)
        case DefaultRule():
            return ()


def counted_once(rule: str, skip: Skip) -> Predicate:
    """Count that a rule was passed over, as `cellplane.rule.<rule>.<skip>` (see `matchers.counted`).

    When an owner has been asked for, the route is looked up again from the first rule on; Lua then names the
    rules that were passed over already.
    """
    passed = matchers.present(matchers.filter_state(passed_state(rule)))
    return all_of(negated(passed), matchers.counted(f"cellplane.rule.{rule}.{skip.value}"))


def _override(
    rule: OverrideRule, standings: Standings, retry_after_seconds: int, manners: Manners
) -> tuple[Entry, ...]:
    named = matchers.header(rule.header)
    allowed = _allowed(rule)
    leaves = {
        cluster_name(cell.cell_id): at_cell(
            rule.name, cell.cell_id, cell.override, retry_after_seconds, manners, Mark.OPERATOR
        )
        for cell in standings.values()
        if cell.override is not Access.CLOSED
    }
    if allowed is None:
        return (entry(matchers.present(named), listed([_count(rule, Skip.REFUSED)])),)
    entries = [entry(allowed, matchers.exactly(named, leaves))] if leaves else []
    entries += [
        _count(rule, Skip.UNKNOWN, allowed),
        _count(rule, Skip.REFUSED, negated(allowed)),
    ]
    return (entry(matchers.present(named), listed(entries)),)


def _allowed(rule: OverrideRule) -> Predicate | None:
    """Match those that may use the rule; None where nobody may any more."""
    ways: list[Predicate] = []
    if rule.networks:
        stat = f"cellplane.rule.{rule.name}.peer"
        ways.append(matchers.within(matchers.filter_state(PEER_STATE), rule.networks, stat))
    if rule.identities:
        # The header is Envoy's own, from a verified certificate: all its names, with commas between them.
        names = "|".join(quoted(identity) for identity in rule.identities)
        regex = rf"(?:{ANY_BYTES},)?(?:{names})(?:,{ANY_BYTES})?"
        ways.append(matchers.matches(matchers.header(IDENTITY_HEADER), regex))
    return matchers.any_of(*ways) if ways else None


def _paths(
    rule: PathPrefixRule,
    standings: Standings,
    retry_after_seconds: int,
    manners: Manners,
    follows: Container[int],
) -> tuple[Entry, ...]:
    live: dict[str, OnMatch] = {}
    dead: list[str] = []
    for prefix, cell_id in sorted(rule.prefixes.items()):
        cell = standings.get(cell_id)
        if cell is None or cell.owned is Access.CLOSED:
            dead.append(prefix)
        else:
            live[prefix] = at_cell(
                rule.name, cell_id, cell.owned, retry_after_seconds, manners, follows=cell_id in follows
            )
    for prefix, below in _below(live, dead).items():
        # Envoy would go on with the next shorter prefix; but what belongs to a cell that does not serve must
        # not land on the cell that has the path above.
        outside = negated(matchers.matches(PATH, _under(below)))
        live[prefix] = listed([entry(outside, live[prefix])])
    entries = [*_path_maps(live)]
    if dead:
        # Only the outermost: Envoy tries shorter prefixes too, and would count twice.
        closed = set(dead)
        counter = listed([_count(rule, Skip.UNKNOWN)])
        outermost = [path for path in dead if closed.isdisjoint(above(path))]
        entries += _path_maps(dict.fromkeys(outermost, counter))
    return tuple(entries)


def _path_maps(leaves: Mapping[str, OnMatch]) -> Iterable[Entry]:
    """Look up `/acme` itself first, then `/acme/…` and `/acme?…`: whole segments, whatever their number."""
    if leaves:
        below = {prefix + mark: leaf for prefix, leaf in leaves.items() for mark in "/?"}
        yield entry(_ANY_PATH, matchers.path_tree(leaves, below))


def _below(live: Iterable[str], dead: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    known = set(live)
    for path in dead:
        for prefix in above(path):
            if prefix in known:
                found.setdefault(prefix, []).append(path)
    return found


def _under(prefixes: Iterable[str]) -> str:
    return f"(?:{'|'.join(quoted(prefix) for prefix in prefixes)})(?:[/?]{ANY_BYTES})?"


def _sessions(
    rule: SessionCookieRule,
    standings: Standings,
    retry_after_seconds: int,
    manners: Manners,
    follows: Container[int],
    *,
    limits: bool,
) -> tuple[Entry, ...]:
    mark = Mark.COOKIE if limits else Mark.NOTHING
    once, twice = sessions.once(rule.cookie), sessions.twice(rule.cookie)
    leaves = {
        f"{cell.session_prefix}-": at_cell(
            rule.name,
            cell.cell_id,
            cell.owned,
            retry_after_seconds,
            manners,
            mark,
            follows=cell.cell_id in follows,
        )
        for cell in standings.values()
        if cell.owned is not Access.CLOSED
    }
    entries = [entry(negated(twice), sessions.session_tree(rule.cookie, leaves))] if leaves else []
    entries += [
        _count(rule, Skip.UNKNOWN, once, negated(twice)),
        _count(rule, Skip.AMBIGUOUS, twice),
    ]
    return (entry(sessions.maybe(rule.cookie), listed(entries)),)


def _count(rule: Rule, skip: Skip, *conditions: Predicate) -> Entry:
    counter = counted_once(rule.name, skip)
    return entry(all_of(*conditions, counter) if conditions else counter, NOWHERE)
