"""The route table of the edge: one virtual host whose matcher asks the rules in their order.

`translate` hands in the ruleset and how cells stand, and gets the RouteConfiguration as a resource. A list is
as long as the ruleset; cells and prefixes are in maps and trees below it, never in a list of routes, which
costs Envoy a quarter of its throughput at a thousand. Traffic with manners of its own has the same rules a
second time, with leaves that say so. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.branches import branch
from envoy.edge import CELL_HEADER, HIDDEN_HEADERS, IDENTITY_HEADER, RULE_HEADER, EdgeSettings
from envoy.leaves import divided, header
from envoy.match_branches import Ground, match_branch
from envoy.match_rules import Classify, MatchRule, Otherwise
from envoy.matchers import Entry, OnMatch
from envoy.moved import REPLAYED_BYTES, followed, plugins, retries
from envoy.pending import pending
from envoy.route_resource import NO_GENERATIONS, route_resource
from envoy.ruleset import Rule, Ruleset
from envoy.standing import Access, Standing, cluster_name, fixed_cluster_name
from envoy.traffic import ORDINARY, Manners
from envoy.traffic_routes import all_manners, counters, parted
from envoy.ways import Branches, Way
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.config.route.v3 import route_components_pb2
from xds.resource import CLUSTER, Resource

VIRTUAL_HOST: Final = "edge"
ALTERNATIVE_SECONDS: Final = 86_400
"""How long a client may remember that the edge takes HTTP/3."""

NO_CELLS: Final[Mapping[int, frozenset[int]]] = {}

Fact = tuple[int, str, Access, Access]


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The resource, and the parts that the next table may use again."""

    ruleset: Ruleset
    retry_after_seconds: int
    left: Mapping[int, frozenset[int]]
    follows: Mapping[int, frozenset[int]]
    standings: Mapping[int, Standing]
    facts: tuple[Fact, ...]
    weights: tuple[tuple[int, int], ...]
    branches: Mapping[tuple[Manners, bool], Branches]
    pending: tuple[Entry, ...]
    generations: Mapping[int, int]
    shown: int
    host: bytes = field(repr=False)
    choices: bytes = field(repr=False)
    resource: Resource


def route_table(
    ruleset: Ruleset,
    standings: Mapping[int, Standing],
    settings: EdgeSettings,
    previous: RouteTable | None,
    generations: Mapping[int, int] = NO_GENERATIONS,
    left: Mapping[int, frozenset[int]] = NO_CELLS,
    shown: int = 0,
) -> RouteTable:
    """Make the route table, or give the previous one where nothing that it depends on changed.

    A changed weight makes a new default only; the rest is taken from the previous table. Risen `generations`
    cost next to nothing: they are written behind what is there, and so is `shown`, the requests of ten
    thousand that ext_proc is shown. Owners that `left` cells, for others, are followed where a cell refuses
    them.
    """
    if not settings.lookups:
        generations, left, shown = NO_GENERATIONS, NO_CELLS, 0
    retry_after = settings.retry_after_seconds
    if previous is not None and previous.left is left and previous.standings is standings:
        follows, choices = previous.follows, previous.choices
    else:
        follows = followed(left, standings)
        choices = plugins(follows)
    if previous is not None and (
        previous.retry_after_seconds != retry_after or previous.follows.keys() != follows.keys()
    ):
        previous = None
    same_left = previous is not None and previous.left.keys() == left.keys()
    if previous is not None and same_left and (previous.standings, previous.ruleset) == (standings, ruleset):
        told = replace(
            previous, generations=generations, shown=shown, left=left, follows=follows, choices=choices
        )
        if (previous.generations, previous.shown, previous.choices) == (generations, shown, choices):
            return previous if previous.left is left else told
        resource = route_resource(previous.host, generations, previous.resource.references, choices, shown)
        return replace(told, resource=resource)
    facts = tuple(
        (each.cell_id, each.session_prefix, each.owned, each.override) for each in standings.values()
    )
    weights = tuple((cell.cell_id, cell.weight) for cell in standings.values() if cell.weight > 0)
    known: Mapping[tuple[Manners, bool], Branches] = {}
    if previous is not None and previous.facts == facts and previous.ruleset.reserved == ruleset.reserved:
        known = _kept(previous.branches, weights=previous.weights == weights, left=same_left)
    limits = settings.steered_per_second > 0
    branches: dict[tuple[Manners, bool], Branches] = {}
    ways: dict[Manners, Way] = {}
    for manners in (ORDINARY, *all_manners(ruleset.traffic)):
        ends: list[tuple[Branches, OnMatch]] = []
        for there in (NO_CELLS, follows) if follows and manners.retries else (NO_CELLS,):
            fallback = divided(ruleset.rules[-1].name, weights, retry_after, manners, there)
            ground = Ground(
                standings, retry_after, ruleset.reserved, fallback, manners, settings.lookups, limits,
                left, there,
            )  # fmt: skip
            same = known.get((manners, bool(there)), {})
            made = {rule: same[rule] if rule in same else _branch(rule, ground) for rule in ruleset.rules}
            branches[manners, bool(there)] = made
            ends.append((made, fallback))
        ways[manners] = Way(*ends[0], *ends[-1])
    if previous is not None and previous.ruleset == ruleset and previous.facts == facts:
        first = previous.pending
    else:
        first = pending(ruleset, settings.lookups, standings, limits=limits)
    host = _host(ruleset, settings, first, ways, follows=bool(follows)).SerializeToString(deterministic=True)
    references = [
        (CLUSTER, cluster_name(cell.cell_id))
        for cell in standings.values()
        if Access.OPEN in (cell.owned, cell.override)
    ]
    references += [(CLUSTER, fixed_cluster_name(fixed.name)) for fixed in ruleset.clusters]
    resource = route_resource(host, generations, references, choices, shown)
    if previous is not None and previous.resource.version == resource.version:
        resource = previous.resource
    return RouteTable(
        ruleset, retry_after, left, follows, standings, facts, weights, branches, first, generations, shown,
        host, choices, resource,
    )  # fmt: skip


def _branch(rule: Rule, ground: Ground) -> tuple[Entry, ...]:
    if isinstance(rule, MatchRule):
        return match_branch(rule, ground)
    return branch(
        rule,
        ground.standings,
        ground.retry_after_seconds,
        ground.manners,
        limits=ground.limits,
        follows=ground.follows,
    )


def _kept(
    branches: Mapping[tuple[Manners, bool], Branches], *, weights: bool, left: bool
) -> Mapping[tuple[Manners, bool], Branches]:
    """Give what stays as it is: all but what leads to the default, or follows owners who left, as told."""

    def stays(rule: Rule) -> bool:
        if not isinstance(rule, MatchRule):
            return True
        asks = isinstance(rule.action, Classify) and rule.action.asks
        falls = any(policy is Otherwise.DEFAULT for _, policy in rule.otherwise)
        return (weights or not falls) and (left or not asks)

    return {key: {rule: made for rule, made in each.items() if stays(rule)} for key, each in branches.items()}


def _host(
    ruleset: Ruleset,
    settings: EdgeSettings,
    first: tuple[Entry, ...],
    ways: Mapping[Manners, Way],
    *,
    follows: bool,
) -> route_components_pb2.VirtualHost:
    host = route_components_pb2.VirtualHost(
        name=VIRTUAL_HOST,
        domains=["*"],
        # The cell learns who decided what. Overwritten, not added: no client has a say in it.
        request_headers_to_add=[
            header(CELL_HEADER, "%UPSTREAM_CLUSTER%"),
            header(RULE_HEADER, "%ROUTE_NAME%"),
        ],
        request_headers_to_remove=[*ruleset.override_headers, IDENTITY_HEADER],
        response_headers_to_add=[
            header(CELL_HEADER, "%UPSTREAM_CLUSTER%"),
            header(RULE_HEADER, "%ROUTE_NAME%"),
            *_alternatives(settings),
        ],
        response_headers_to_remove=HIDDEN_HEADERS,
        virtual_clusters=counters(ruleset.traffic) if settings.counts_answers else (),
        retry_policy=retries(follow=follows),
        request_body_buffer_limit=wrappers_pb2.UInt64Value(value=REPLAYED_BYTES),
    )
    for predicate, manners in parted(ruleset.traffic):
        apart = host.matcher.matcher_list.matchers.add(predicate=predicate)
        ways[manners].fill(apart.on_match.matcher, first)
    ways[ORDINARY].fill(host.matcher, first)
    return host


def _alternatives(settings: EdgeSettings) -> Iterator[base_pb2.HeaderValueOption]:
    """Tell clients that HTTP/3 is to be had, and where."""
    if settings.tls and settings.tls.http3:
        yield header("alt-svc", f'h3=":{settings.tls.public_port}"; ma={ALTERNATIVE_SECONDS}')
