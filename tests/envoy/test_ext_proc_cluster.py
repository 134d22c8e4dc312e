"""The cluster of ext_proc servers."""

from __future__ import annotations

from envoy.edge import Lookups
from envoy.ext_proc_cluster import ext_proc_clusters
from pb.envoy.config.cluster.v3.cluster_pb2 import Cluster
from topology.model import Endpoint


def made(*hosts: str) -> Cluster:
    lookups = Lookups(endpoints=tuple(Endpoint(host=host, port=18010) for host in hosts))
    return Cluster.FromString(ext_proc_clusters(lookups)[0].body)


def test_servers_are_asked_for_their_health_and_one_that_is_not_well_gets_nothing() -> None:
    cluster = made("10.0.0.5", "10.0.0.6")
    assert cluster.type == Cluster.STATIC
    (check,) = cluster.health_checks
    assert check.HasField("grpc_health_check")
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0
    (places,) = cluster.load_assignment.endpoints
    assert [each.endpoint.address.socket_address.address for each in places.lb_endpoints] == [
        "10.0.0.5",
        "10.0.0.6",
    ]


def test_names_are_resolved_by_envoy() -> None:
    assert made("owners.internal").type == Cluster.STRICT_DNS
