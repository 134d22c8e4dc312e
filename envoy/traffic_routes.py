"""Classes of traffic in the route table: what tells them apart, and their counters.

`routes` hands in the classes, and makes a way for each of their manners. Classes of the same manners that
follow each other share one. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from envoy.conditions import holds
from envoy.match_rules import Condition, Part
from envoy.matchers import Predicate, all_of, any_of_all, negated
from envoy.re2_text import header_text, path_text
from envoy.regex_compiler import literal_start, whole_text
from envoy.traffic import ORDINARY, Manners, TrafficClass
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2

_NAMES: Final = {Part.METHOD: ":method", Part.HOST: ":authority", Part.PATH: ":path"}


def all_manners(classes: Sequence[TrafficClass]) -> tuple[Manners, ...]:
    """List the manners of the classes, each once, without the ordinary ones."""
    return tuple(dict.fromkeys(each.manners for each in classes if each.manners != ORDINARY))


@lru_cache(maxsize=8)  # rules change seldom, cells often
def parted(classes: tuple[TrafficClass, ...]) -> tuple[tuple[Predicate, Manners], ...]:
    """Say what tells requests of manners of their own, in the order of the classes. Not to be edited."""
    found: list[tuple[Predicate, Manners]] = []
    before: list[Predicate] = []
    for manners, group in groupby(classes, lambda each: each.manners):
        is_one = any_of_all(_is_in(each) for each in group)
        if manners == ORDINARY:
            before.append(negated(is_one))  # its classes come first, also before those that follow
        else:
            found.append((all_of(*before, is_one), manners))
    return tuple(found)


@lru_cache(maxsize=8)
def counters(classes: tuple[TrafficClass, ...]) -> tuple[route_pb2.VirtualCluster, ...]:
    """Make what Envoy counts each class under: `vhost.edge.vcluster.<class>.…`. Not to be edited."""
    return tuple(_counter(each) for each in classes)


def _counter(each: TrafficClass) -> route_pb2.VirtualCluster:
    found = route_pb2.VirtualCluster(name=each.name)
    for condition in each.conditions:
        name, regex = _NAMES.get(condition.part, condition.name), condition.regex
        text = whole_text(regex) if regex and condition.part is not Part.PATH else None
        start = literal_start(regex) if regex and text is None else ""
        if len(start) > 1 and not condition.inverse:
            # Most requests are in no class: they are told apart at the first characters.
            found.headers.add(name=name).string_match.prefix = start
        matcher = found.headers.add(name=name, invert_match=condition.inverse)
        if text is not None:
            matcher.string_match.exact = text
        else:
            matcher.string_match.safe_regex.regex = _text(condition)
    return found


def _is_in(each: TrafficClass) -> Predicate:
    return all_of(*(holds(condition, frozenset()) for condition in each.conditions))


def _text(condition: Condition) -> str:
    if condition.regex is None:
        return r"\C+"
    return (path_text if condition.part is Part.PATH else header_text)(condition.regex)
