"""What a sidecar is told: whole by itself, and names of what left in the route table alone."""

from __future__ import annotations

from envoy.rules import DEFAULT_RULESET
from envoy.sidecar import Outbound, SidecarSettings
from envoy.sidecar_resources import sidecar_snapshot, spelled
from pb.envoy.config.route.v3.route_pb2 import RouteConfiguration
from tests.envoy.owners_rig import owner_rules
from topology.departing import Barred
from topology.model import Endpoint
from xds.resource import CLUSTER, LISTENER, ROUTE
from xds.snapshot import Snapshot, diff

SETTINGS = SidecarSettings(
    listen_port=8081,
    application=Endpoint(host="127.0.0.1", port=8080),
    outbound=Outbound(listen_port=9095, endpoints=(Endpoint(host="topology.internal", port=9095),)),
)
BAR = Barred("NAMESPACE/42", 2, 3)


def made(**fence: Barred) -> Snapshot:
    names = {f"ROUTES/{name}": bar for name, bar in fence.items()}
    return sidecar_snapshot(7, owner_rules(), names, SETTINGS)


def routes(snapshot: Snapshot) -> RouteConfiguration:
    return RouteConfiguration.FromString(snapshot.of_type(ROUTE)["inbound"].body)


def test_it_names_nothing_that_is_not_there() -> None:
    snapshot = made(acme=BAR)
    assert set(snapshot.of_type(CLUSTER)) == {"application", "topology"}
    assert set(snapshot.of_type(LISTENER)) == {"inbound", "outbound"}
    assert snapshot.problems_since(diff(Snapshot(0, {}), snapshot)) == ()


def test_a_departure_changes_the_route_table_alone_and_grows_it_by_its_name() -> None:
    one, two = made(acme=BAR), made(acme=BAR, web=BAR)
    assert set(diff(one, two)) == {ROUTE}
    grown = len(two.of_type(ROUTE)["inbound"].body) - len(one.of_type(ROUTE)["inbound"].body)
    assert 0 < grown < 100


def test_where_nobody_left_and_where_no_rule_names_claims_lua_is_not_asked() -> None:
    assert not routes(made()).virtual_hosts[0].HasField("matcher")
    plain = sidecar_snapshot(7, DEFAULT_RULESET, {"ROUTES/acme": BAR}, SETTINGS)
    assert not routes(plain).virtual_hosts[0].HasField("matcher")
    assert routes(made(acme=BAR)).virtual_hosts[0].HasField("matcher")


def test_where_an_owner_is_is_spelled_for_lua() -> None:
    assert spelled(BAR) == "cell-2; owner=NAMESPACE/42; epoch=3"
    assert spelled(Barred("USER/1", 4, 2, moving=True)) == "moving cell-4; owner=USER/1; epoch=2"
