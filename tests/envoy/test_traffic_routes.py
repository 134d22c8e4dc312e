from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoy.edge import EdgeSettings
from envoy.routes import route_table
from envoy.rules import DEFAULT_RULESET
from envoy.standing import standing
from envoy.traffic import Manners
from envoy.traffic_parser import usual_traffic
from envoy.traffic_routes import all_manners, counters, parted
from pb.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from pb.xds.type.matcher.v3.matcher_pb2 import Matcher
from tests.envoy.edge_rig import NOW, cell
from tests.envoy.rule_documents import parsed, rule

HEADER = {"type": "header", "name": "x-a"}
QUICK, SLOW = {"timeout_seconds": 1}, {"timeout_seconds": 9}


COUNTING = EdgeSettings(count_decisions=True)


def host(
    cells: int = 1, traffic: list[dict[str, Any]] | None = None, settings: EdgeSettings = COUNTING
) -> VirtualHost:
    ruleset = DEFAULT_RULESET
    if traffic is not None:
        ruleset = replace(ruleset, traffic=parsed(rule(), traffic=traffic).traffic)
    standings = {each: standing(cell(each), NOW) for each in range(1, cells + 1)}
    made = route_table(ruleset, standings, settings, None)
    (found,) = RouteConfiguration.FromString(made.resource.body).virtual_hosts
    return found


def end(matcher: Matcher) -> Route:
    found = Route()
    assert matcher.on_no_match.action.typed_config.Unpack(found)
    return found


def test_streams_and_polls_have_their_own_way_to_the_same_cells() -> None:
    matcher = host().matcher
    streams, polls = (each.on_match.matcher for each in matcher.matcher_list.matchers[:2])
    stream, poll, page = end(streams).route, end(polls).route, end(matcher).route
    assert {stream.cluster, poll.cluster, page.cluster} == {"cell-1"}
    assert [each.timeout.seconds for each in (stream, poll, page)] == [0, 120, 0]
    assert all(each.HasField("timeout") for each in (stream, poll, page))
    assert stream.HasField("idle_timeout")
    assert stream.idle_timeout.seconds == 0
    assert stream.HasField("retry_policy")
    assert not stream.retry_policy.retry_on
    assert not any(each.HasField(name) for each in (poll, page) for name in ("idle_timeout", "retry_policy"))


def test_every_class_is_counted_and_the_table_grows_with_manners_only() -> None:
    assert [each.name for each in host().virtual_clusters] == [each.name for each in usual_traffic()]
    plain, streams = host(300, traffic=[]), host(300)
    assert not plain.virtual_clusters
    assert 2.5 < streams.ByteSize() / plain.ByteSize() < 3.5, "three manners, six classes"


def test_classes_are_counted_only_where_somebody_asks_for_it() -> None:
    assert not host(settings=EdgeSettings()).virtual_clusters
    assert host(settings=EdgeSettings(access_log=True)).virtual_clusters, "the log names them"


def test_a_counter_asks_what_the_class_asks() -> None:
    classes = parsed(
        rule(), traffic=[{"name": "a", "match": [{"type": "method", "values": ["POST"]}, HEADER]}]
    ).traffic
    (found,) = counters(classes)
    method, other = found.headers
    assert (method.name, method.string_match.exact) == (":method", "POST")
    assert (other.name, other.string_match.safe_regex.regex) == ("x-a", r"\C+")


def test_a_counter_looks_at_the_first_characters_first() -> None:
    path = {"type": "path", "template": "/api/:version/jobs"}
    (found,) = counters(parsed(rule(), traffic=[{"name": "a", "match": [path]}]).traffic)
    first, whole = found.headers
    assert (first.name, first.string_match.prefix) == (":path", "/api/")
    assert whole.string_match.safe_regex.regex.startswith("/api/")


def test_the_first_class_counts_also_when_it_is_an_ordinary_one() -> None:
    """What follows an ordinary class leads a request away only if that class has not taken it."""
    traffic = [
        {"name": "a", "match": [HEADER]},
        {"name": "b", "match": [{**HEADER, "value": "b"}], **QUICK},
        {"name": "c", "match": [{**HEADER, "value": "c"}], **QUICK},
        {"name": "d", "match": [{**HEADER, "value": "d"}], **SLOW},
    ]
    classes = parsed(rule(), traffic=traffic).traffic
    assert all_manners(classes) == (Manners(timeout_seconds=1), Manners(timeout_seconds=9))
    quick, slow = parted(classes)
    assert [quick[1], slow[1]] == list(all_manners(classes))
    for predicate, _ in (quick, slow):
        assert predicate.and_matcher.predicate[0].HasField("not_matcher")
    assert len(quick[0].and_matcher.predicate[1].or_matcher.predicate) == 2


def test_without_rules_a_class_ends_at_the_default() -> None:
    ruleset = replace(DEFAULT_RULESET, rules=DEFAULT_RULESET.rules[-1:])
    made = route_table(ruleset, {1: standing(cell(1), NOW)}, EdgeSettings(), None)
    (found,) = RouteConfiguration.FromString(made.resource.body).virtual_hosts
    streams, polls = found.matcher.matcher_list.matchers
    ways = (streams.on_match.matcher, polls.on_match.matcher, found.matcher)
    assert {end(each).name for each in ways} == {"default"}
