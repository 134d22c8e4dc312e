from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoy.paths import above, normalise, prefix_problem, under


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/", "/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../..", "/"),
        ("//a//b//", "/a/b/"),
        ("/%2e%2e/%61%2F%5f", "/a%2F_"),
        ("/a\\b", "/a/b"),
        ("/a/..;x=1/b", "/b"),
        ("/a/%2e%2e;x/b", "/a/..;x/b"),
        ("/a?x/../y//z", "/a?x/../y//z"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/caf\u00c3\u00a9", "/caf%C3%A9"),
        ("/%zz%4", "/%zz%4"),
        ("/%2541", "/%2541"),
        ("/%%41b", "/%25Ab"),
        ("/%4%31", "/%2541"),
        ("///", "//"),
        ("//?x", "//?x"),
    ],
)
def test_a_path_becomes_what_envoy_sees(path: str, seen: str) -> None:
    assert normalise(path) == seen


@pytest.mark.parametrize(
    "path", ["", "a", "*", "?a", "/a#b", "/a?b#c", "/%00", "/a\x7f", "/a b", "http://x/"]
)
def test_what_envoy_refuses_is_no_path(path: str) -> None:
    assert normalise(path) is None


def test_slashes_are_merged_only_where_that_is_wanted() -> None:
    assert normalise("//a//b", merge_slashes=False) == "//a//b"
    assert normalise("//a//b/../c", merge_slashes=False) == "//a//c"


@given(st.text(st.sampled_from("/.%;?a2eEfF5cC\\~"), max_size=12))
def test_a_normal_path_holds_no_dots_that_lead_elsewhere(tail: str) -> None:
    seen = normalise("/" + tail)
    if seen is not None:
        segments = seen.partition("?")[0].split("/")
        assert "." not in segments
        assert ".." not in segments


@pytest.mark.parametrize("path", ["/acme", "/acme/", "/acme/x", "/acme?x", "/acme?"])
def test_a_prefix_covers_itself_and_what_is_below(path: str) -> None:
    assert under("/acme", path)


@pytest.mark.parametrize("path", ["/acmeville", "/acm", "/", "/x/acme", "/acme;x", "/acme%2Fx"])
def test_a_prefix_covers_whole_segments_only(path: str) -> None:
    assert not under("/acme", path)


def test_above_lists_the_shorter_prefixes() -> None:
    assert list(above("/acme/team/x")) == ["/acme", "/acme/team"]
    assert list(above("/acme")) == []


@pytest.mark.parametrize("prefix", ["/acme", "/acme/team", "/caf%C3%A9", "/a.b", "/-", "/a%2Fb", "/@x"])
def test_good_prefixes(prefix: str) -> None:
    assert prefix_problem(prefix) is None


@pytest.mark.parametrize(
    ("prefix", "fix"),
    [
        ("acme", "write / and at least one segment"),
        ("", "write / and at least one segment"),
        ("/", "write / and at least one segment"),
        ("//", "write / and at least one segment"),
        ("/acme/", "write that"),
        ("/x/../acme", "Envoy sees '/acme'"),
        ("/%61cme", "Envoy sees '/acme'"),
        ("/acme//x", "Envoy sees '/acme/x'"),
        ("/acme?x", "leave the query out"),
        ("/café", "escape what is not ASCII"),
        ("/a b", "holds what no path may hold"),
        ("/a#b", "holds what no path may hold"),
    ],
)
def test_a_prefix_that_could_never_match_is_refused(prefix: str, fix: str) -> None:
    assert fix in (prefix_problem(prefix) or "")
