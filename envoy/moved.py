"""Once more, to the cell where the owner is now: what the edge does where a sidecar refuses.

Leaves carry it where somebody may be refused, and no others: a cluster that is chosen anew for a retry, first
by what Lua heard upstream of the refusal (`pending`), else that of the leaf. A body that is not kept whole is
not sent again, and its client gets the refusal. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from google.protobuf import any_pb2, wrappers_pb2

from envoy import matchers
from envoy.durations import seconds
from envoy.edge import OWNER_HEADER
from envoy.matchers import Input, Matcher, OnMatch, packed
from envoy.standing import Access, Standing, cluster_name
from pb.envoy.config.core.v3 import extension_pb2
from pb.envoy.config.route.v3 import route_components_pb2 as route_pb2
from pb.envoy.config.route.v3 import route_pb2 as table_pb2
from pb.envoy.extensions.filters.http.lua.v3 import lua_pb2
from pb.envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from pb.envoy.extensions.router.cluster_specifiers.matcher.v3 import matcher_pb2
from xds.encoding import field, varint

MOVED_FILTER: Final = "cellplane.moved"
MOVED_STATE: Final = "cellplane.moved"
"""The filter state in which Lua notes, upstream, the id of the cell that the owner is in now."""
SCRIPT: Final = "read"
RETRIES: Final = 2
SELECTIONS: Final = 10
"""How often Envoy draws another endpoint than the one that failed. It draws at random: with 3 one in some 500
requests to a cell with one endpoint of two gone met nobody in three attempts.
"""
REPLAYED_BYTES: Final = 65_536
"""How much of a request's body is kept for a retry. A bigger one goes through once, as it comes."""
MOST_CHOICES: Final = 10_000
"""Of cells to go to instead, in the whole table; each takes some 120 bytes."""
_NONE: Final[frozenset[int]] = frozenset()
_REFRESH: Final = 14  # RetryPolicy.refresh_cluster_on_retry; the API that we generate from has it not yet
_PLUGINS: Final = table_pb2.RouteConfiguration.DESCRIPTOR.fields_by_name["cluster_specifier_plugins"].number


def retries(*, follow: bool = False) -> route_pb2.RetryPolicy:
    """Retry, on another endpoint if there is one, only what no endpoint can have seen.

    With `follow` also what a sidecar refused, by the choice of the route's cluster if it has one.
    """
    policy = route_pb2.RetryPolicy
    made = policy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=wrappers_pb2.UInt32Value(value=RETRIES),
        retry_host_predicate=[
            policy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
        host_selection_retry_max_attempts=SELECTIONS,
        retry_back_off=policy.RetryBackOff(
            # Another endpoint or another cell is asked, which has nothing to recover from: Envoy's own 25 ms
            # made a refusal that is followed 12 ms slower.
            base_interval=seconds(0.001),
            max_interval=seconds(0.01),
        ),
    )
    if follow:
        made.retry_on += ",retriable-headers"
        made.retriable_headers.add(name=OWNER_HEADER, present_match=True)
        made.MergeFromString(varint(_REFRESH << 3) + b"\x01")
    return made


def followed(
    left: Mapping[int, frozenset[int]], standings: Mapping[int, Standing]
) -> Mapping[int, frozenset[int]]:
    """Say of each cell that serves where those are whom it may refuse: `left` has who left it, and to where.

    Whoever left any cell is refused by all but the one where they are. Where cells are so many that the
    choices would outgrow the table, a cell's own are followed, and no others.
    """
    serving = [cell.cell_id for cell in standings.values() if cell.owned is Access.OPEN]
    anywhere = _NONE.union(*left.values()).intersection(serving)
    few = len(anywhere) * len(serving) <= MOST_CHOICES
    found = {at: (anywhere if few else left.get(at, _NONE) & anywhere) - {at} for at in serving}
    return {at: there for at, there in found.items() if there}


def follow(route: route_pb2.Route) -> None:
    """Have a route to a cell follow who is refused there. It has to be one that may be repeated.

    There are many such, so that all they have in common (`retries`) is said by the virtual host.
    """
    route.route.cluster_specifier_plugin = plugin_name(route.route.cluster)
    route.typed_per_filter_config[MOVED_FILTER].CopyFrom(_script())


def plugin_name(cluster: str) -> str:
    """Name the choice of a cluster instead of this one."""
    return f"owner.{cluster}"


def plugins(follows: Mapping[int, frozenset[int]]) -> bytes:
    """Make the choices of the whole table, as a part of it: one for each cell that may refuse."""
    found = []
    for cell_id, there in follows.items():
        choice = matchers.exactly(
            matchers.filter_state(MOVED_STATE), {str(each): _cluster(each) for each in sorted(there)}
        ).matcher
        choice.on_no_match.CopyFrom(_cluster(cell_id))
        found.append(field(_PLUGINS, _plugin(plugin_name(cluster_name(cell_id)), choice)))
    return b"".join(found)


@lru_cache(maxsize=1)
def _script() -> any_pb2.Any:
    found = lua_pb2.LuaPerRoute(name=SCRIPT)
    found.filter_context["upstream"] = True
    return packed(found)


def _plugin(name: str, choice: Matcher) -> bytes:
    specifier = matcher_pb2.MatcherClusterSpecifier(cluster_matcher=choice)
    extension = extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(specifier))
    return route_pb2.ClusterSpecifierPlugin(extension=extension).SerializeToString(deterministic=True)


@lru_cache(maxsize=4096)
def _cluster(cell_id: int) -> OnMatch:
    action = matcher_pb2.ClusterAction(cluster=cluster_name(cell_id))
    return OnMatch(action=Input(name="cluster", typed_config=packed(action)))
