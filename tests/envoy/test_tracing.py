from __future__ import annotations

from envoy.connection_manager import connection_manager
from envoy.edge import EdgeSettings, Tracing
from envoy.tracing import COLLECTOR, collector_cluster, tracing
from pb.envoy.config.cluster.v3.cluster_pb2 import Cluster
from tests.envoy.test_connection_manager import mutations
from topology.model import Endpoint
from xds.resource import CLUSTER

TRACING = Tracing(endpoints=(Endpoint(host="10.0.0.9", port=4317),), percent=5)


def test_paths_are_told_without_queries() -> None:
    found = tracing(TRACING)
    assert found.max_path_tag_length.value == 0
    assert [each.value for each in found.custom_tags if each.tag == "url.path"] == ["%PATH(NQ:PATH)%"]
    assert (found.random_sampling.value, found.client_sampling.value) == (5, 0)


def test_clients_begin_no_trace_and_proxies_in_front_may() -> None:
    assert "traceparent" not in mutations(EdgeSettings())
    assert "traceparent" in mutations(EdgeSettings(tracing=TRACING))
    assert "traceparent" not in mutations(EdgeSettings(tracing=TRACING, trusted_hops=1))
    assert not connection_manager(EdgeSettings()).HasField("tracing")


def test_a_collector_is_found_by_address_or_by_name() -> None:
    named = Tracing(endpoints=(Endpoint(host="otel.example", port=4317),))
    for found, kind in ((TRACING, Cluster.STATIC), (named, Cluster.STRICT_DNS)):
        resource = collector_cluster(found)
        assert (resource.type, resource.name) == (CLUSTER, COLLECTOR)
        assert Cluster.FromString(resource.body).type == kind
