"""What is sent where there is nothing, or nothing new."""

from __future__ import annotations

from pb.envoy.config.route.v3 import route_pb2
from pb.envoy.service.discovery.v3 import discovery_pb2
from xds.placeholders import bodiless, empty, heartbeat
from xds.resource import CLUSTER, ROUTE, VIRTUAL_HOST, Resource


def test_an_empty_resource_has_its_name_and_nothing_else() -> None:
    assert route_pb2.RouteConfiguration.FromString(empty(ROUTE, "r").body) == route_pb2.RouteConfiguration(
        name="r"
    )


def test_what_has_no_body_has_its_name_as_its_alias() -> None:
    field = bodiless(VIRTUAL_HOST, "r/z").delta_field
    sent = discovery_pb2.DeltaDiscoveryResponse.FromString(field).resources[0]
    assert (sent.name, list(sent.aliases), sent.HasField("resource")) == ("r/z", ["r/z"], False)


def test_rule_57_a_heartbeat_has_name_version_and_time_but_no_body() -> None:
    timed = Resource.of(CLUSTER, "a", b"", ttl_seconds=30.0)
    sent = discovery_pb2.DeltaDiscoveryResponse.FromString(heartbeat(timed).delta_field).resources[0]
    assert (sent.name, sent.version, sent.ttl.seconds) == ("a", timed.version, 30)
    assert not sent.HasField("resource")
