"""What the documents name exists: tests and proofs; and no rule of the protocol is without its test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / name for name in ("protocol.md", "guarantees.md")]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
RULE = re.compile(r"^\| (\d+) \| (.*) \| (.*) \|$", re.MULTILINE)
LAST_RULE = 72


@cache
def functions(path: str) -> frozenset[str]:
    """Return the names of all functions of a file, methods included."""
    file = ROOT / path
    if not file.exists():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def numbers(test: str) -> set[int]:
    """Return the rules that a test's name names: `test_rule_6_49_and_51_…`, `test_rules_37_to_39_…`."""
    found = re.match(r"test_rules?_(\d+(?:_(?:and_|to_)?\d+)*)(?:_|$)", test)
    words = found[1].split("_") if found else []
    rules = {int(word) for word in words if word.isdigit()}
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        if word == "to":
            rules.update(range(int(before), int(after)))
    return rules


def rules() -> list[tuple[int, str, str]]:
    """Return number, text and tests of each rule: the rows above the tables of types and invariants."""
    text = PAGES[0].read_text(encoding="utf-8").partition("## What is not there")[0]
    return [(int(number), reading, tests) for number, reading, tests in RULE.findall(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert named, f"{page.name} names no test"
    missing = [f"{path}::{name}" for path, name in named if name not in functions(path)]
    assert not missing, f"{page.name} names what is not there: {', '.join(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_proof_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"proofs? `(\w+)`", page.read_text(encoding="utf-8"))
    kept = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    for name in named:
        assert (ROOT / "tests" / "proofs" / f"{name}.py").exists(), f"there is no proof {name}"
        assert f'"proof": "{name}"' in kept, f"{name} has no line in docs/proofs.md: make prove PROOF={name}"


def test_every_rule_is_there_once_and_in_order() -> None:
    assert [number for number, _, _ in rules()] == list(range(1, LAST_RULE + 1))


@pytest.mark.parametrize(("number", "reading", "tests"), rules(), ids=lambda part: str(part)[:20])
def test_a_rule_names_a_test_that_names_the_rule(number: int, reading: str, tests: str) -> None:
    named = NAMED.findall(tests)
    assert named, f"rule {number} names no test"
    if not reading.startswith("Not served: "):
        assert any(number in numbers(name) for _, name in named), f"no test of rule {number} has its number"


def test_numbers_are_read_from_a_name() -> None:
    assert numbers("test_rule_6_49_and_51_a_fresh_client") == {6, 49, 51}
    assert numbers("test_rules_37_to_39_delta") == {37, 38, 39}
    assert numbers("test_rule_12_a_reconnect_of_50_000_names") == {12}
    assert numbers("test_four_of_5") == set()
