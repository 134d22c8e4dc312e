"""The last good ruleset stands; where none is known, none is made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cellplane.rules_in_force import RulesInForce
from envoy.rules import DEFAULT_RULESET
from tests.cellplane.views import STAMP, cell, view
from topology.model import Document
from topology.view import Quarantined, QuarantineKind, View

PATHS = {"name": "path", "type": "path_prefix", "prefixes": {"/acme": 3}}
LAST = {"name": "default", "type": "default"}


def ruled(body: dict[str, Any]) -> View:
    document = Document(kind="rules", name="current", body=body, stamp=STAMP)
    return replace(view(7, [cell(1)]), documents={("rules", "current"): document})


def garbled(before: View) -> View:
    key = before.keyspace.document("rules", "current")
    record = Quarantined(
        key=key,
        kind=QuarantineKind.UNDECODABLE,
        reason="no JSON",
        create_revision=1,
        mod_revision=8,
        raw=b"{",
    )
    return replace(before, revision=8, quarantined={key: record})


def test_without_a_document_the_built_in_rules_are_in_force() -> None:
    rules = RulesInForce()
    rules.read(view(7, [cell(1)]))

    assert (rules.ruleset, rules.problem) == (DEFAULT_RULESET, "")


def test_a_ruleset_that_cannot_be_read_at_a_fresh_start_is_not_replaced_by_a_guess() -> None:
    for bad in (garbled(view(7, [cell(1)])), ruled({"schema": 1, "rules": []})):
        rules = RulesInForce()
        rules.read(bad)

        assert rules.ruleset is None
        assert rules.problem


def test_the_last_good_ruleset_stands_and_a_mended_one_takes_over() -> None:
    rules = RulesInForce()
    good = ruled({"schema": 1, "rules": [PATHS, LAST]})
    rules.read(good)
    first = rules.ruleset

    rules.read(garbled(good))
    assert (rules.ruleset, rules.problem) == (first, "no JSON")
    rules.read(ruled({"schema": 1, "rules": []}))
    assert rules.ruleset is first
    assert "rules" in rules.problem

    rules.read(ruled({"schema": 1, "rules": [LAST]}))
    assert rules.problem == ""
    assert rules.ruleset is not first
