from __future__ import annotations

from envoy.endpoints import assignment, endpoints
from tests.envoy.edge_rig import cell
from topology.model import Endpoint
from xds.resource import ENDPOINT

PLACES = (
    Endpoint(host="10.0.0.1", port=80, zone="b", weight=3),
    Endpoint(host="10.0.0.2", port=81, zone="a"),
    Endpoint(host="10.0.0.3", port=82, zone="a", weight=0),
    Endpoint(host="fd00::4", port=83, zone="a", weight=2),
    Endpoint(host="10.0.0.5", port=84, zone="c", weight=0),
)


def test_zones_are_localities_and_weight_zero_is_left_out() -> None:
    made = assignment("cell-3", PLACES, "eu")
    assert made.cluster_name == "cell-3"
    assert [(each.locality.region, each.locality.zone) for each in made.endpoints] == [
        ("eu", "a"),
        ("eu", "b"),
    ]
    found = [
        (place.endpoint.address.socket_address, place.load_balancing_weight.value)
        for locality in made.endpoints
        for place in locality.lb_endpoints
    ]
    assert [(each.address, each.port_value, weight) for each, weight in found] == [
        ("10.0.0.2", 81, 1),
        ("fd00::4", 83, 2),
        ("10.0.0.1", 80, 3),
    ]


def test_without_region_and_zone_there_is_one_nameless_locality() -> None:
    made = assignment("cell-3", cell(3, ports=(80, 81)).endpoints)
    (locality,) = made.endpoints
    assert not locality.HasField("locality")
    assert len(locality.lb_endpoints) == 2


def test_the_resource_is_named_after_the_cluster_and_follows_its_content() -> None:
    one, same, other = endpoints(cell(3)), endpoints(cell(3, weight=7)), endpoints(cell(3, ports=(81,)))
    assert (one.type, one.name, one.references) == (ENDPOINT, "cell-3", frozenset())
    assert one.version == same.version
    assert one.version != other.version
