from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from envoy import matchers
from envoy.matchers import OnMatch, Predicate
from pb.envoy.config.route.v3.route_components_pb2 import Route
from pb.envoy.extensions.matching.input_matchers.ip.v3.ip_pb2 import Ip
from pb.envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput


def end(name: str) -> OnMatch:
    return matchers.leaf(Route(name=name))


def address_ranges(predicate: Predicate) -> Ip:
    found = Ip()
    assert predicate.single_predicate.custom_match.typed_config.Unpack(found)
    return found


def test_an_input_names_its_header() -> None:
    found = HttpRequestHeaderMatchInput()
    assert matchers.PATH.typed_config.Unpack(found)
    assert found.header_name == ":path"


def test_strings_are_compared_as_asked() -> None:
    cookie = matchers.header("cookie")
    assert matchers.contains(cookie, "a=").single_predicate.value_match.contains == "a="
    assert matchers.starts(cookie, "/").single_predicate.value_match.prefix == "/"
    found = matchers.matches(cookie, "a.*").single_predicate.value_match.safe_regex
    assert found.regex == "a.*"
    assert found.HasField("google_re2")


def test_networks_become_address_ranges() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    found = address_ranges(matchers.within(matchers.filter_state("peer"), networks, "who"))
    ranges = [(each.address_prefix, each.prefix_len.value) for each in found.cidr_ranges]
    assert ranges == [("10.0.0.0", 8), ("fd00::", 8)]
    assert found.stat_prefix == "who"


def test_a_counter_asks_the_path_whether_it_is_an_address() -> None:
    predicate = matchers.counted("cellplane.x")
    assert predicate.single_predicate.input == matchers.PATH
    assert address_ranges(predicate).stat_prefix == "cellplane.x"


def test_predicates_combine() -> None:
    one, two = matchers.contains(matchers.PATH, "1"), matchers.contains(matchers.PATH, "2")
    assert list(matchers.all_of(one, two).and_matcher.predicate) == [one, two]
    assert list(matchers.any_of(one, two).or_matcher.predicate) == [one, two]
    assert matchers.any_of(one) == one
    assert matchers.negated(one).not_matcher == one


def test_maps_and_lists_hold_what_they_were_given() -> None:
    leaves = {"a": end("one"), "b": end("two")}
    exact = matchers.exactly(matchers.PATH, leaves).matcher.matcher_tree
    assert dict(exact.exact_match_map.map) == leaves
    assert exact.input == matchers.PATH
    assert dict(matchers.by_prefix(matchers.PATH, leaves).matcher.matcher_tree.prefix_match_map.map) == leaves
    line = matchers.entry(matchers.present(matchers.PATH), end("one"))
    assert list(matchers.listed([line, line]).matcher.matcher_list.matchers) == [line, line]


@pytest.mark.parametrize(
    "text", ["/a.b", "_gitlab_session", "__Host-x", "a+b*c?", "(x|y)", "^$", "a%2Fb", "#'!~`&"]
)
def test_quoted_text_matches_itself_only(text: str) -> None:
    assert re.fullmatch(matchers.quoted(text), text)
    assert not re.fullmatch(matchers.quoted(text), text + "x")
    assert not re.fullmatch(matchers.quoted("a.b"), "axb")


def test_what_several_ways_begin_with_is_asked_once() -> None:
    post, path, other = (matchers.equals(matchers.header(name), "x") for name in (":method", ":path", "a"))
    both = matchers.any_of_all([matchers.all_of(post, path), other, matchers.all_of(post, other)])
    first, alone = both.or_matcher.predicate
    assert first == matchers.all_of(post, matchers.any_of(path, other))
    assert alone == other
    assert matchers.any_of_all([matchers.all_of(post, path), post]) == post, "the longer one adds nothing"
    assert matchers.any_of_all([post]) == post
