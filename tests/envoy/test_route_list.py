"""A route list, and every route of the example's replayed: no page is taken for a namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellplane.ruleset_file import read_ruleset
from envoy.decision import Step
from envoy.evaluator import explain
from envoy.route_list import Route, parse_routes, reserved_words
from envoy.rules import Request, Ruleset, parse_ruleset
from tests.envoy.edge_rig import NOW, cell, view_of
from topology.model import Problem

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rules"


def routes() -> tuple[Route, ...]:
    found = parse_routes((EXAMPLE / "routes.txt").read_text(encoding="utf-8"))
    return tuple(each for each in found if isinstance(each, Route))


def ruleset() -> Ruleset:
    body = read_ruleset(EXAMPLE / "gitlab.yaml")
    parsed = parse_ruleset(body)
    assert isinstance(parsed, Ruleset), (body, parsed)
    return parsed


RULESET = ruleset()


def asked(path: str) -> dict[str, Step]:
    found = explain(RULESET, view_of(cell(1), cell(2)), Request(path=path), NOW)
    return {step.rule: step for step in found.steps}


@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{route.line} {route.example}")
def test_every_route_of_the_list_is_replayed(route: Route) -> None:
    for path in (route.example, f"{route.example}?x=/acme", f"{route.example}/"):
        step = asked(path)["namespace"]
        keys = [f"{key.type} {key.value}" for key in step.keys]
        first = route.example[1:].partition("/")[0]
        assert keys == ([f"route {first}", f"redirect_route {first}"] if route.varies else []), path


def test_the_list_gives_the_first_segments_that_are_pages() -> None:
    words = reserved_words(routes())
    assert len(routes()) > 30
    assert {"-", "api", "users", "robots.txt", "o"} <= set(words)
    assert not any(word.startswith(":") or "(" in word for word in words)
    assert frozenset(words) == RULESET.reserved


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", "line 1", "no route"),
        ("# nothing\n", "line 1", "no route"),
        ("GET /a", "line 1", "has 2 words"),
        ("GET /a /a\n\nget /b /b", "line 3", "no verbs"),
        ("GET a /a", "line 1", "no template"),
        ("GET /a//b /a", "line 1", "no template"),
        ("GET /a(/:b) /a", "line 1", "no template"),
        ("GET /a a", "line 1", "no path"),
    ],
)
def test_a_bad_line_is_named(text: str, line: str, words: str) -> None:
    (problem,) = parse_routes(text)
    assert isinstance(problem, Problem)
    assert problem.field == line
    assert words in problem.message
