"""The ruleset's document, read: the ruleset, or all that is wrong with it.

The control plane and the commands hand in the body of the document in the store. Schema 1 has rules of four
types; schema 2 adds rules of type match, reserved words, clusters and classes of traffic. `Request ->
ClassificationKey -> Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Final

from envoy.cluster_parser import parse_clusters
from envoy.match_parser import parse_match
from envoy.match_rules import MatchRule
from envoy.problem_list import ProblemList
from envoy.reachability import unreachable
from envoy.rule_checks import FIELDS, rule_problems
from envoy.ruleset import DefaultRule, OverrideRule, PathPrefixRule, Rule, Ruleset, SessionCookieRule
from envoy.traffic_parser import parse_traffic
from topology.model import Problem

SCHEMAS: Final = (1, 2)
MAX_RULES: Final = 32
MAX_RESERVED: Final = 2000
_WORD: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@%-]{1,64}\Z")
_KEYS: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("schema", "rules"),
    2: ("schema", "reserved", "clusters", "traffic", "rules"),
}


def parse_ruleset(body: Any) -> Ruleset | tuple[Problem, ...]:
    """Read a ruleset document; what is wrong comes back as problems, all of them at once."""
    problems = ProblemList()
    ruleset = _read(body, problems)
    return tuple(problems.found) if problems.found or ruleset is None else ruleset


def _read(body: Any, problems: ProblemList) -> Ruleset | None:
    if not isinstance(body, Mapping) or not {"schema", "rules"} & body.keys():
        problems.add("", "is no ruleset: write an object with schema and rules")
        return None
    schema = body.get("schema")
    if isinstance(schema, bool) or schema not in SCHEMAS:
        problems.add("schema", f"{schema!r} is not known here: write 2, or 1 for the older form")
        schema = max(SCHEMAS)
    for key in body:
        if key not in _KEYS[schema]:
            problems.add(str(key), f"is unknown: a ruleset of schema {schema} has {', '.join(_KEYS[schema])}")
    reserved = _reserved(body.get("reserved"), problems)
    clusters = parse_clusters(body.get("clusters"), problems)
    traffic = parse_traffic(body.get("traffic"), problems)
    entries = body.get("rules")
    if not isinstance(entries, list | tuple) or not 1 <= len(entries) <= MAX_RULES:
        problems.add("rules", f"must be a list of 1 to {MAX_RULES} rules, in their order")
        return None
    problems.found += _order_problems(entries, schema)
    names = frozenset(each.name for each in clusters)
    rules: list[Rule | None] = [
        _rule(f"rules[{at}]", entry, names, problems) for at, entry in enumerate(entries)
    ]
    for at, rule in enumerate(rules):
        if isinstance(rule, MatchRule) and not reserved and any(each.unreserved for each in rule.conditions):
            message = (
                "takes the first segment of a path for a name, and pages of the application's own would be "
                "taken for one too: list their first segments in reserved"
            )
            problems.add(f"rules[{at}].match", message)
    problems.found += unreachable(rules)
    whole = tuple(rule for rule in rules if rule is not None)
    return Ruleset(rules=whole, reserved=reserved, clusters=clusters, traffic=traffic)


def _reserved(value: Any, problems: ProblemList) -> frozenset[str]:
    if value is None:
        return frozenset()
    found = set()
    for at, word in enumerate(problems.items("reserved", value, MAX_RESERVED, "words")):
        if isinstance(word, str) and _WORD.match(word):
            found.add(word)
        else:
            problems.add(f"reserved[{at}]", f"{word!r} is no segment of a path: write it like users")
    return frozenset(found)


def _rule(path: str, entry: Any, clusters: frozenset[str], problems: ProblemList) -> Rule | None:
    """Make a rule of an entry; None where it is judged not to hold."""
    if not isinstance(entry, Mapping):
        return None
    if entry.get("type") == "match":
        return parse_match(path, entry, clusters, problems)
    if any(problem.field == path or problem.field.startswith(f"{path}.") for problem in problems.found):
        return None
    return _plain_rule(entry)


def _plain_rule(entry: Mapping[str, Any]) -> Rule:
    name = entry["name"]
    match entry["type"]:
        case "override":
            return OverrideRule(
                name=name,
                header=entry["header"].lower(),
                networks=tuple(ip_network(text) for text in entry.get("networks", ())),
                identities=tuple(entry.get("identities", ())),
                until=datetime.fromisoformat(entry["until"]) if entry.get("until") else None,
            )
        case "path_prefix":
            return PathPrefixRule(name=name, prefixes=entry["prefixes"])
        case "session_cookie":
            return SessionCookieRule(name=name, cookie=entry["cookie"])
        case _:
            return DefaultRule(name=name)


def _order_problems(entries: list[Any] | tuple[Any, ...], schema: int) -> Iterator[Problem]:
    names: dict[str, int] = {}
    cookies: dict[str, int] = {}
    for at, entry in enumerate(entries):
        path = f"rules[{at}]"
        if not isinstance(entry, Mapping):
            yield Problem(field=path, message="is no rule: write an object with name, type and what it needs")
            continue
        yield from rule_problems(path, entry, schema)
        yield from _repeated(f"{path}.name", names, entry.get("name"), at, "give each rule its own name")
        yield from _repeated(f"{path}.cookie", cookies, entry.get("cookie"), at, "the second never matches")
        is_last = at == len(entries) - 1
        if entry.get("type") == "default" and not is_last:
            message = "answers everything, so what comes after it is never reached: put it last"
            yield Problem(field=f"{path}.type", message=message)
        if is_last and entry.get("type") in (*FIELDS, "match") and entry["type"] != "default":
            message = "the last rule must be of type default: say what happens to traffic that nobody owns"
            yield Problem(field=f"{path}.type", message=message)


def _repeated(path: str, seen: dict[str, int], value: Any, at: int, fix: str) -> Iterator[Problem]:
    if isinstance(value, str) and seen.setdefault(value, at) != at:
        yield Problem(field=path, message=f"{value!r} is already that of rules[{seen[value]}]: {fix}")
