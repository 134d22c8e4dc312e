"""A serialised virtual host with generations behind it, and that it stays what it was."""

from __future__ import annotations

from envoy.route_resource import route_resource
from pb.envoy.config.route.v3.route_components_pb2 import VirtualHost
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from xds.resource import CLUSTER

HOST = VirtualHost(name="edge", domains=["*"])


def read(generations: dict[int, int]) -> RouteConfiguration:
    resource = route_resource(HOST.SerializeToString(), generations, [(CLUSTER, "cell-1")])
    assert resource.references == {(CLUSTER, "cell-1")}
    return RouteConfiguration.FromString(resource.body)


def test_without_generations_the_host_is_all_there_is() -> None:
    assert read({}) == RouteConfiguration(
        name="edge", virtual_hosts=[HOST], most_specific_header_mutations_wins=True
    )


def test_generations_stand_under_the_filter_that_reads_them() -> None:
    (host,) = read({17: 12_345_678_901, 3: 9}).virtual_hosts
    (name,) = host.metadata.filter_metadata
    assert name == "cellplane.keys"
    said = {"at": 12_345_678_901, "since": 0, "moved": "17 12345678901 3 9"}
    assert dict(host.metadata.filter_metadata[name].items()) == said
    host.ClearField("metadata")
    assert host == HOST


def test_the_order_in_which_they_are_known_does_not_count() -> None:
    versions = {route_resource(b"", each, ()).version for each in ({1: 2, 3: 4}, {3: 4, 1: 2})}
    assert len(versions) == 1
