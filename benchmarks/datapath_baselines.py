"""What the data path benchmark measures besides: our edge without a decision, a decision without our edge.

The first is all that ours does for every request, with one static route where the rules would be. The second
is plain Envoy with a cluster for each cell and a static prefix that leads to it, in a tree, as somebody would
write it by hand. What ours takes over the first is the decision; what the second takes over plain Envoy is
many clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.datapath_edges import cell_at, plain_bootstrap, plain_cluster
from benchmarks.datapath_ways import Way
from benchmarks.wrk import Request
from cellplane.demo.free_port import free_port
from envoy.bootstrap import bootstrap
from envoy.clusters import cluster
from envoy.edge import EdgeSettings, Lookups
from envoy.endpoints import endpoints
from envoy.ext_proc_cluster import ext_proc_clusters
from envoy.listeners import listeners
from envoy.routes import route_table
from envoy.ruleset import DefaultRule, Ruleset
from envoy.static import static_bootstrap
from pb.envoy.config.route.v3 import route_pb2
from topology.model import Endpoint
from xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from xds.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Baseline:
    """An Envoy whose configuration is all in a file: from its port, the upstream's, and how many cells."""

    way: Way
    config: Callable[[int, int, int], dict[str, Any]]


def undecided_bootstrap(port: int, upstream: int, cells: int) -> dict[str, Any]:
    """Configure our edge with one static route: its listener, filters, headers and clusters, and no rule."""
    lookups = Lookups(endpoints=(Endpoint(host="127.0.0.1", port=free_port()),))  # which nobody asks
    settings = EdgeSettings(
        listen_address="127.0.0.1", listen_port=port, health_check_path="", lookups=lookups
    )
    served = [cell_at(number, upstream) for number in range(1, cells + 1)]
    table = route_table(Ruleset(rules=(DefaultRule(name="default"),)), {}, settings, None)
    routes = route_pb2.RouteConfiguration.FromString(table.resource.body)
    routes.virtual_hosts[0].ClearField("matcher")
    route = routes.virtual_hosts[0].routes.add(name="default")
    route.match.prefix = "/"
    route.route.cluster = "cell-1"
    route.route.timeout.SetInParent()
    named: dict[str, Resource] = {each.name: each for each in ext_proc_clusters(lookups)}
    named |= {each.name: each for each in (cluster(cell, settings) for cell in served)}
    snapshot = Snapshot(
        1,
        {
            CLUSTER: named,
            ENDPOINT: {each.name: each for each in map(endpoints, served)},
            LISTENER: {each.name: each for each in listeners(settings)},
            ROUTE: {table.resource.name: Resource.of(ROUTE, table.resource.name, routes)},
        },
    )
    made = bootstrap(role="edge", node_id="edge-1", xds_addresses=("127.0.0.1:1",), admin_port=free_port())
    del made["dynamic_resources"]
    return {**made, **static_bootstrap(snapshot)}


def parted_bootstrap(port: int, upstream: int, cells: int) -> dict[str, Any]:
    """Configure plain Envoy with a prefix for each cell, which leads to a cluster of its own."""
    made = plain_bootstrap(port, upstream)
    made["static_resources"]["clusters"] = [plain_cluster(number, upstream) for number in range(1, cells + 1)]
    manager = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    host = manager["route_config"]["virtual_hosts"][0]
    (route,) = host.pop("routes")
    matching = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    host["matcher"] = {
        "matcher_tree": {
            "input": {"name": "path", "typed_config": {"@type": matching, "header_name": ":path"}},
            "prefix_match_map": {
                "map": {f"/cell-{at}/": _led(route, f"cell-{at}") for at in range(1, cells + 1)}
            },
        }
    }
    return made


def _led(route: dict[str, Any], cell: str) -> dict[str, Any]:
    to = {
        "@type": "type.googleapis.com/envoy.config.route.v3.Route",
        **route,
        "route": {**route["route"], "cluster": cell},
    }
    return {"action": {"name": "route", "typed_config": to}}


BASELINES = (
    Baseline(
        Way("undecided", "our edge, one static route", "", None,
            lambda mix: mix.each(lambda _: Request("/users/sign_in"))),
        undecided_bootstrap,
    ),
    Baseline(
        Way("parted", "plain Envoy, a prefix for each cell", "", None,
            lambda mix: mix.each(lambda cell: Request(f"/cell-{cell}/x"))),
        parted_bootstrap,
    ),
)  # fmt: skip
