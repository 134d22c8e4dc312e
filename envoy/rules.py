"""The rules, in one place for whoever asks: the document, its values, and the evaluator that explains them.

Only names; `ruleset` reads documents and `evaluator` decides. `Request -> ClassificationKey -> Decision`.
"""

from typing import Final

from envoy.decision import Decision, Outcome
from envoy.evaluator import decide
from envoy.match_rules import MatchRule, Skip
from envoy.request import Request
from envoy.ruleset import (
    DEFAULT_DOCUMENT,
    DefaultRule,
    OverrideRule,
    PathPrefixRule,
    Rule,
    Ruleset,
    SessionCookieRule,
)
from envoy.ruleset_parser import parse_ruleset

__all__ = [
    "DEFAULT_DOCUMENT",
    "DEFAULT_RULESET",
    "Decision",
    "DefaultRule",
    "MatchRule",
    "Outcome",
    "OverrideRule",
    "PathPrefixRule",
    "Request",
    "Rule",
    "Ruleset",
    "SessionCookieRule",
    "Skip",
    "decide",
    "parse_ruleset",
]


def _built_in() -> Ruleset:
    match parse_ruleset(DEFAULT_DOCUMENT):
        case Ruleset() as ruleset:
            return ruleset
        case problems:
            raise AssertionError(f"the built-in ruleset does not hold: {problems}")


DEFAULT_RULESET: Final = _built_in()
