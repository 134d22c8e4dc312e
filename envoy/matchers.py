"""The parts of the route table: inputs, predicates, lists, maps and leaves of Envoy's matchers.

`routes` and what it asks hand in plain values and get protobuf back (`View -> Snapshot`). Nothing here knows
rules or cells.

What Envoy 1.40 does with these parts, as tried: a route table may look at request headers and filter state
only; a nested matcher that finds nothing lets the list go on with its next entry, and a prefix map with the
next shorter prefix; `safe_regex` has to match the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from google.protobuf import any_pb2, wrappers_pb2

from pb.envoy.config.core.v3 import address_pb2
from pb.envoy.config.route.v3 import route_components_pb2
from pb.envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from pb.envoy.extensions.matching.input_matchers.consistent_hashing.v3 import consistent_hashing_pb2
from pb.envoy.extensions.matching.input_matchers.ip.v3 import ip_pb2
from pb.envoy.type.matcher.v3 import http_inputs_pb2
from pb.xds.core.v3 import extension_pb2
from pb.xds.type.matcher.v3 import matcher_pb2, regex_pb2, string_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from envoy.ruleset import Network

Matcher = matcher_pb2.Matcher
OnMatch = Matcher.OnMatch
Predicate = Matcher.MatcherList.Predicate
Entry = Matcher.MatcherList.FieldMatcher
Input = extension_pb2.TypedExtensionConfig

NOWHERE: Final = OnMatch(matcher=Matcher())
"""Leads to nothing, so that the search goes on."""
ANY_BYTES: Final = r"\C*"
"""Not `.*`: a header may hold bytes that are no UTF-8, and those `.` does not match."""
_RE2: Final = regex_pb2.RegexMatcher.GoogleRE2()
_NO_ADDRESS: Final = (
    address_pb2.CidrRange(address_prefix="255.255.255.255", prefix_len=wrappers_pb2.UInt32Value(value=32)),
)


def packed(message: Message) -> any_pb2.Any:
    """Wrap a message, with the same bytes each time."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message, deterministic=True)
    return wrapped


def header(name: str) -> Input:
    """Look at a request header; lines of the same name are joined with commas."""
    message = http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=name)
    return Input(name=name.removeprefix(":"), typed_config=packed(message))


def filter_state(key: str) -> Input:
    """Look at what the listener noted of the connection."""
    return Input(name=key, typed_config=packed(network_inputs_pb2.FilterStateInput(key=key)))


PATH: Final = header(":path")


def contains(value: Input, text: str) -> Predicate:
    return _single(value, string_pb2.StringMatcher(contains=text))


def starts(value: Input, text: str) -> Predicate:
    return _single(value, string_pb2.StringMatcher(prefix=text))


def matches(value: Input, regex: str) -> Predicate:
    """Match a whole value; see `ANY_BYTES`, and quote with `quoted`."""
    return _single(
        value, string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(google_re2=_RE2, regex=regex))
    )


def equals(value: Input, text: str) -> Predicate:
    """Match exactly this text."""
    return _single(value, string_pb2.StringMatcher(exact=text))


def present(value: Input) -> Predicate:
    """Match any value but an empty one."""
    return matches(value, r"\C+")


def within(value: Input, networks: Iterable[Network], stat_prefix: str) -> Predicate:
    """Match an address in one of the networks."""
    ranges = (
        address_pb2.CidrRange(
            address_prefix=str(network.network_address),
            prefix_len=wrappers_pb2.UInt32Value(value=network.prefixlen),
        )
        for network in networks
    )
    return _ip(value, ranges, stat_prefix)


def counted(stat: str) -> Predicate:
    """Match nothing, and count how often it was asked, as `<stat>.ip_parsing_failed`.

    Matchers have no counters but this one: the IP matcher counts what it can't read as an address, and a path
    never is one. Placed last in `all_of`, it counts the requests that come so far, and the list goes on.
    """
    return _ip(PATH, _NO_ADDRESS, stat)


def all_of(*predicates: Predicate) -> Predicate:
    """Match if all do; the first that does not ends the asking."""
    if len(predicates) == 1:
        return predicates[0]
    return Predicate(and_matcher=Predicate.PredicateList(predicate=predicates))


def any_of(*predicates: Predicate) -> Predicate:
    """Match if one does."""
    if len(predicates) == 1:
        return predicates[0]
    return Predicate(or_matcher=Predicate.PredicateList(predicate=predicates))


def any_of_all(ways: Iterable[Predicate]) -> Predicate:
    """Match if one does, and ask what several begin with only once: who says no there has said no to all."""
    begun: dict[bytes, tuple[Predicate, list[Predicate]]] = {}
    for way in ways:
        first, *rest = way.and_matcher.predicate or [way]
        _, rests = begun.setdefault(first.SerializeToString(deterministic=True), (first, []))
        rests.append(all_of(*rest) if rest else Predicate())
    return any_of(*(_begun(first, rests) for first, rests in begun.values()))


def _begun(first: Predicate, rests: list[Predicate]) -> Predicate:
    return first if Predicate() in rests else all_of(first, any_of(*rests))


def negated(predicate: Predicate) -> Predicate:
    return Predicate(not_matcher=predicate)


def entry(predicate: Predicate, on_match: OnMatch) -> Entry:
    """One line of a list: what to look for, and what then."""
    return Entry(predicate=predicate, on_match=on_match)


def listed(entries: Iterable[Entry]) -> OnMatch:
    """Ask one entry after the other, until one leads to a route."""
    found = OnMatch()
    found.matcher.matcher_list.matchers.extend(
        entries
    )  # in place: each level of nesting copies what is below
    return found


def exactly(value: Input, leaves: Mapping[str, OnMatch]) -> OnMatch:
    """Look a whole value up in a map, whatever its size."""
    found = OnMatch()
    found.matcher.matcher_tree.input.CopyFrom(value)
    entries = found.matcher.matcher_tree.exact_match_map.map
    for key, end in leaves.items():
        entries[key].CopyFrom(end)
    return found


def path_tree(whole: Mapping[str, OnMatch], below: Mapping[str, OnMatch]) -> OnMatch:
    """Look a path up among whole ones, and else by the longest prefix: two maps for one look at the list."""
    found = exactly(PATH, whole)
    found.matcher.on_no_match.CopyFrom(by_prefix(PATH, below))
    return found


def by_prefix(value: Input, leaves: Mapping[str, OnMatch]) -> OnMatch:
    """Look a value up by its longest prefix, whatever the map's size."""
    found = OnMatch()
    found.matcher.matcher_tree.input.CopyFrom(value)
    entries = found.matcher.matcher_tree.prefix_match_map.map
    for key, end in leaves.items():
        entries[key].CopyFrom(end)
    return found


def fork(value: Input, *, threshold: int, modulo: int, seed: int, above: OnMatch, below: OnMatch) -> Matcher:
    """Go one of two ways by a hash of a value: `above` where hash % modulo >= threshold."""
    hashed = _hashed(value, threshold, modulo, seed)
    return Matcher(
        matcher_list=Matcher.MatcherList(matchers=(Entry(predicate=hashed, on_match=above),)),
        on_no_match=below,
    )


def all_but(header_name: str, parts: int, of: int, end: OnMatch) -> Matcher:
    """End there with all requests but `parts` of `of`, by a hash of a header that each has."""
    return Matcher(
        matcher_list=Matcher.MatcherList(
            matchers=(Entry(predicate=_hashed(header(header_name), parts, of, 0), on_match=end),)
        )
    )


def leaf(route: route_components_pb2.Route) -> OnMatch:
    """End the search with a route. Envoy still asks the route's own match."""
    return OnMatch(action=Input(name=route.name, typed_config=packed(route)))


def quoted(text: str) -> str:
    """Quote ASCII text for a regular expression of RE2's."""
    return re.sub(r"([^A-Za-z0-9_/-])", r"\\\1", text)


def _hashed(value: Input, threshold: int, modulo: int, seed: int) -> Predicate:
    way = consistent_hashing_pb2.ConsistentHashing(threshold=threshold, modulo=modulo, seed=seed)
    return Predicate(
        single_predicate=Predicate.SinglePredicate(
            input=value, custom_match=Input(name="hash", typed_config=packed(way))
        )
    )


def _single(value: Input, matcher: string_pb2.StringMatcher) -> Predicate:
    return Predicate(single_predicate=Predicate.SinglePredicate(input=value, value_match=matcher))


def _ip(value: Input, ranges: Iterable[address_pb2.CidrRange], stat_prefix: str) -> Predicate:
    message = ip_pb2.Ip(cidr_ranges=ranges, stat_prefix=stat_prefix)
    custom = Input(name="ip", typed_config=packed(message))
    return Predicate(single_predicate=Predicate.SinglePredicate(input=value, custom_match=custom))
