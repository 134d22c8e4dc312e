"""Requests as people type them, and owners that are remembered."""

from __future__ import annotations

import pytest

from cellplane.cell_input import InputError
from cellplane.explaining import explanation_json, request_of
from envoy.evaluator import explain
from envoy.rules import DEFAULT_RULESET
from tests.cellplane.pushing import NOW, view_of
from tests.cellplane.views import cell


def test_a_url_is_taken_apart() -> None:
    found = request_of("POST", "https://gitlab.example/a?b=1#c", ["X-A: 1", "host: other"])
    assert (found.method, found.path, found.authority) == ("POST", "/a?b=1", "other")
    assert found.headers == (("X-A", "1"),)
    assert request_of("GET", "https://gitlab.example", ()).path == "/"
    assert request_of("GET", "https://gitlab.example?a", ()).path == "/?a"


@pytest.mark.parametrize(
    ("url", "header", "peer", "words"),
    [
        ("acme", "a: b", "", "'acme' is no URL: write https://host/path, or /path"),
        ("http://u:pw@h/acme", "a: b", "", "has a user in it"),
        ("/", "nothing", "", "'nothing' is no header: write 'name: value'"),
        ("/", "a name: b", "", "'a name: b' is no header"),
        ("/", "a: b\nc: d", "", "is no header"),
        ("/a b", "a: b", "", "'/a b' is no path: write a space as %20"),
        ("https://bücher.example/", "a: b", "", "'bücher.example' is no host: write it as browsers send it"),
        ("/", "host: a/b", "", "'a/b' is no host"),
        ("/", "a: b", "x", "'x' is no IP address"),
    ],
)
def test_what_is_no_request(url: str, header: str, peer: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        request_of("GET", url, [header], peer)


def test_what_is_no_method() -> None:
    with pytest.raises(InputError, match="'GE T' is no method: write one, such as GET"):
        request_of("GE T", "/", [])


def test_a_decision_as_json() -> None:
    view = view_of(3, cell(1, weight=30), cell(2, weight=70))
    found = explanation_json(
        explain(DEFAULT_RULESET, view, request_of("GET", "/x", ()), NOW), DEFAULT_RULESET
    )
    assert found["candidates"] == {"1": 30, "2": 70}
    assert found["decided_by"] == "envoy"
    assert (found["cell"], found["status"], found["steps"][-1]["decides"]) == (None, None, True)
