from __future__ import annotations

from envoy.decision import Decision, Outcome
from envoy.match_rules import Skip


def test_the_rules_that_were_passed_over_are_named() -> None:
    skips = (("a", Skip.UNKNOWN), ("b", Skip.MALFORMED))
    assert Decision(outcome=Outcome.ROUTED, skips=skips).fell_through == ("a", "b")
