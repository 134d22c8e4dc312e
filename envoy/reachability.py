"""Rules that no request reaches, because an earlier one takes all that they would take.

Judged when a ruleset is parsed. What cells do is left out of it: a rule that names a cell lets go on what a
cell that does not serve would get. `Request -> ClassificationKey -> Decision`: before the first request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoy.match_rules import (
    ONCE,
    Classify,
    Condition,
    MatchRule,
    Otherwise,
    Part,
    Reject,
    Skip,
    ToCell,
    ToCluster,
)
from envoy.regex import One, Regex
from envoy.regex import Sequence as Texts
from envoy.regex_inclusion import includes
from envoy.ruleset import Rule
from topology.model import Problem


def unreachable(rules: Sequence[Rule | None]) -> Iterator[Problem]:
    """Name each rule that is never reached, and the earlier one that is to blame."""
    seen: list[tuple[int, MatchRule]] = []
    for at, rule in enumerate(rules):
        if not isinstance(rule, MatchRule):
            continue
        if words := _contradiction(rule) or "":
            yield Problem(field=f"rules[{at}].match", message=words)
        for earlier, other in seen:
            if _takes_all(other, rule):
                message = f"is never reached: rules[{earlier}] ({other.name}) takes all that it would take"
                yield Problem(field=f"rules[{at}]", message=f"{message}, so put it before, or leave it out")
                break
        seen.append((at, rule))


def _takes_all(earlier: MatchRule, later: MatchRule) -> bool:
    if not all(any(_implies(each, asked) for each in later.conditions) for asked in earlier.conditions):
        return False
    if earlier.transforms or earlier.exist:
        read = (earlier.conditions, earlier.transforms, earlier.exist, earlier.action)
        return read == (later.conditions, later.transforms, later.exist, later.action)
    match earlier.action:
        case ToCluster() | Reject():
            return not any(each.part in (Part.COOKIE, Part.QUERY) for each in earlier.conditions)
        case ToCell():
            return earlier.policy(Skip.UNKNOWN) is not Otherwise.NEXT or earlier.action == later.action
        case Classify():
            ends = (Skip.UNKNOWN, Skip.UNDECIDED, Skip.NOT_FOUND)
            if all(earlier.policy(skip) is not Otherwise.NEXT for skip in ends) and earlier.is_sure:
                return True
            return earlier.conditions == later.conditions and earlier.action == later.action


def _implies(narrow: Condition, wide: Condition) -> bool:
    """Tell whether a part that fits one condition fits the other."""
    if _plain(narrow) == _plain(wide):
        return True
    if (narrow.part, narrow.name) != (wide.part, wide.name) or narrow.part in ONCE:
        return False
    if narrow.inverse or wide.inverse or (wide.unreserved and not narrow.unreserved):
        return False
    if wide.regex is None:
        return True  # it has to be there, which the other asks too
    return narrow.regex is not None and includes(wide.regex, narrow.regex)


def _plain(condition: Condition) -> tuple[Part, str, Regex | None, bool, bool]:
    return condition.part, condition.name, condition.regex, condition.unreserved, condition.inverse


def _contradiction(rule: MatchRule) -> str | None:
    """Find two conditions that want one part to be two different texts."""
    wanted: dict[tuple[Part, str], str] = {}
    for condition in rule.conditions:
        text = _only_text(condition.regex)
        if text is None:
            continue
        part = (condition.part, condition.name)
        if wanted.setdefault(part, text) != text:
            what = f"{condition.part} {condition.name}".strip()
            return f"wants {what} to be {wanted[part]!r} and {text!r}: nothing is both"
    return None


def _only_text(regex: Regex | None) -> str | None:
    """Give the text that a regex stands for, where it is only one."""
    if regex is None or not (regex.from_start and regex.to_end) or not isinstance(regex.node, Texts):
        return None
    chars = [part.chars if isinstance(part, One) else frozenset("ab") for part in regex.node.parts]
    return "".join(min(each) for each in chars) if all(len(each) == 1 for each in chars) else None
