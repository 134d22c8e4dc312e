"""Once more, to the cell where the owner is now: what the edge does where a sidecar refuses.

Leaves of cells that owners have left carry it, and no others: a cluster that is chosen anew for a retry,
first by what Lua heard upstream of the refusal (`pending`), else by the key that led here. A body that is not
kept whole is not sent again, and its client gets the refusal. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from google.protobuf import wrappers_pb2

from envoy import matchers
from envoy.classification import KeyType
from envoy.durations import seconds
from envoy.edge import OWNER_HEADER
from envoy.lua_program import key_state
from envoy.match_rules import Classify, KeyTemplate
from envoy.matchers import Input, Matcher, OnMatch, packed
from envoy.ruleset import Ruleset
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
REPLAYED_BYTES: Final = 65_536
"""How much of a request's body is kept for a retry. A bigger one goes through once, as it comes."""
_REFRESH: Final = 14  # RetryPolicy.refresh_cluster_on_retry; the API that we generate from has it not yet
_PLUGINS: Final = table_pb2.RouteConfiguration.DESCRIPTOR.fields_by_name["cluster_specifier_plugins"].number


def retries() -> route_pb2.RetryPolicy:
    """Retry, on another endpoint if there is one, only what no endpoint can have seen."""
    policy = route_pb2.RetryPolicy
    return policy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=wrappers_pb2.UInt32Value(value=RETRIES),
        retry_host_predicate=[
            policy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
        host_selection_retry_max_attempts=3,
        retry_back_off=policy.RetryBackOff(
            base_interval=seconds(0.025),
            max_interval=seconds(0.25),
        ),
    )


def follow(route: route_pb2.Route, rule: str, at: int, *, replay: bool) -> None:
    """Have a route that leads to the cell of a rule's key follow the owner. `replay`: it may be repeated."""
    route.route.cluster_specifier_plugin = plugin_name(rule, at)
    if not replay:
        return
    policy = retries()
    policy.retry_on += ",retriable-headers"
    policy.retriable_headers.add(name=OWNER_HEADER, present_match=True)
    policy.MergeFromString(varint(_REFRESH << 3) + b"\x01")
    route.route.retry_policy.CopyFrom(policy)
    route.typed_per_filter_config[MOVED_FILTER].CopyFrom(packed(_script()))


def plugin_name(rule: str, at: int) -> str:
    """Name the choice of a cluster by a rule's key of this number, from 1."""
    return f"owner.{rule}.{at}"


def plugins(ruleset: Ruleset, standings: Mapping[int, Standing]) -> bytes:
    """Make the choices of the whole table, as a part of it: one for each key, with all cells that serve."""
    cells = [cell for cell in standings.values() if cell.owned is Access.OPEN]
    moved = {str(cell.cell_id): _cluster(cell.cell_id) for cell in cells}
    found = b""
    for rule in ruleset.matches:
        for at, key in enumerate(rule.action.keys if isinstance(rule.action, Classify) else (), 1):
            if key.type is not KeyType.FIRST_CELL:
                choice = matchers.exactly(matchers.filter_state(MOVED_STATE), moved).matcher
                choice.on_no_match.CopyFrom(
                    matchers.exactly(matchers.filter_state(key_state(rule.name, at)), _by_key(key, cells))
                )
                found += field(_PLUGINS, _plugin(plugin_name(rule.name, at), choice))
    return found


def _script() -> lua_pb2.LuaPerRoute:
    found = lua_pb2.LuaPerRoute(name=SCRIPT)
    found.filter_context.update({"upstream": OWNER_HEADER, "replayed": REPLAYED_BYTES})
    return found


def _plugin(name: str, choice: Matcher) -> bytes:
    specifier = matcher_pb2.MatcherClusterSpecifier(cluster_matcher=choice)
    extension = extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(specifier))
    return route_pb2.ClusterSpecifierPlugin(extension=extension).SerializeToString(deterministic=True)


def _by_key(key: KeyTemplate, cells: Iterable[Standing]) -> dict[str, OnMatch]:
    return {
        cell.session_prefix if key.type is KeyType.SESSION_PREFIX else str(cell.cell_id): _cluster(
            cell.cell_id
        )
        for cell in cells
    }


def _cluster(cell_id: int) -> OnMatch:
    action = matcher_pb2.ClusterAction(cluster=cluster_name(cell_id))
    return OnMatch(action=Input(name="cluster", typed_config=packed(action)))
