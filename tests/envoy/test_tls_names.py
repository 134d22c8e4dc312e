from __future__ import annotations

from dataclasses import replace

from envoy.edge import EdgeSettings
from envoy.passthrough import Passthrough
from envoy.rules import DEFAULT_RULESET
from envoy.standing import standing
from envoy.tls_names import Named, listener_name, tls_listeners, tls_names
from envoy.translate import Translation, translate
from pb.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pb.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from pb.envoy.config.listener.v3.listener_pb2 import Listener
from pb.envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2 import Config
from pb.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from tests.envoy.edge_rig import NOW, cell, view_of
from topology.model import Cell, CellState
from xds.resource import CLUSTER, ENDPOINT, LISTENER

EXACT = Passthrough(listen_port=5443, protocols=("registry", "kas"), endpoint_port=5000)
BELOW = Passthrough(listen_port=443, protocols=("pages",), below=True)
SETTINGS = EdgeSettings(passthrough=(EXACT, BELOW))


def named(made: Cell, settings: EdgeSettings = SETTINGS) -> dict[str, Named]:
    return {each.cluster.name: each for each in tls_names(made, standing(made, NOW), settings)}


def addressed(made: Cell, name: str = "kas.example:443") -> Cell:
    return replace(made, addresses={"kas": name, "pages": "https://Pages.example", "web": "web.example:80"})


def shown(made: Translation) -> set[str]:
    return {name for name in made.snapshot.of_type(CLUSTER) if "/" in name}


def test_a_listener_for_each_port_names_the_cluster_by_what_the_client_asks_for() -> None:
    wanted = {}
    for each in (Listener.FromString(one.body) for one in tls_listeners(SETTINGS)):
        state, proxy = Config(), TcpProxy()
        for found, filter_ in zip((state, proxy), each.filter_chains[0].filters, strict=True):
            assert filter_.typed_config.Unpack(found)
        (value,) = state.on_new_connection
        assert value.object_key == "envoy.tcp_proxy.cluster"
        wanted[each.name] = value.format_string.text_format_source.inline_string
        assert each.address.socket_address.port_value == int(each.name.removeprefix("tls-"))
        assert (proxy.stat_prefix, proxy.HasField("idle_timeout"), proxy.idle_timeout.seconds) == (
            each.name,
            True,
            0,
        )
    assert wanted == {
        "tls-5443": "tls-5443/%REQUESTED_SERVER_NAME%",
        "tls-443": "%CEL(re.extract(connection.requested_server_name, '^[^.]+[.](.+)$', 'tls-443/\\\\1'))%",
    }
    assert listener_name(EXACT) == "tls-5443"
    assert tls_listeners(EdgeSettings()) == ()


def test_a_cell_has_a_cluster_for_each_of_its_names() -> None:
    found = named(addressed(cell(1, ports=(80, 81))))
    assert set(found) == {"tls-5443/kas.example", "tls-443/pages.example"}
    ports = {}
    for name, each in found.items():
        assert each.endpoints is not None
        assert each.cluster.references == {(ENDPOINT, name)}
        message = ClusterLoadAssignment.FromString(each.endpoints.body)
        (zone,) = message.endpoints
        ports[name] = [place.endpoint.address.socket_address.port_value for place in zone.lb_endpoints]
    assert ports == {"tls-5443/kas.example": [5000, 5000], "tls-443/pages.example": [80, 81]}


def test_a_cell_that_does_not_serve_and_an_edge_without_ports_have_none() -> None:
    for state in (CellState.PROVISIONING, CellState.QUARANTINED, CellState.DRAINED):
        assert named(addressed(cell(1, state))) == {}
    assert named(addressed(cell(1)), EdgeSettings()) == {}


def test_health_is_that_it_answers() -> None:
    checks = Cluster.FromString(named(addressed(cell(1)))["tls-5443/kas.example"].cluster.body).health_checks
    assert [each.WhichOneof("health_checker") for each in checks] == ["tcp_health_check"]
    silent = replace(SETTINGS, health_check_path="")
    body = named(addressed(cell(1)), silent)["tls-5443/kas.example"].cluster.body
    assert not Cluster.FromString(body).health_checks


def test_names_of_hosts_are_resolved_by_envoy() -> None:
    found = named(addressed(cell(1, host="cell-1.internal")))["tls-5443/kas.example"]
    assert found.endpoints is None
    assert Cluster.FromString(found.cluster.body).type == Cluster.STRICT_DNS


def test_names_come_and_go_with_cells_and_no_listener_changes() -> None:
    one, two = addressed(cell(1)), addressed(cell(2), "kas.other:443")
    first = translate(view_of(one), DEFAULT_RULESET, SETTINGS, NOW, None)
    assert shown(first) == {"tls-5443/kas.example", "tls-443/pages.example"}
    more = translate(view_of(one, two, revision=8), DEFAULT_RULESET, SETTINGS, NOW, first)
    assert shown(more) - shown(first) == {"tls-5443/kas.other"}
    assert more.snapshot.of_type(LISTENER) is first.snapshot.of_type(LISTENER)
    assert more.snapshot.problems() == ()
    less = translate(view_of(two, revision=9), DEFAULT_RULESET, SETTINGS, NOW, more)
    assert shown(less) == {"tls-5443/kas.other", "tls-443/pages.example"}
    assert {name for name in less.snapshot.of_type(ENDPOINT) if "/" in name} == shown(less)
    assert less.snapshot.of_type(CLUSTER) == translate(
        view_of(two), DEFAULT_RULESET, SETTINGS, NOW, None
    ).snapshot.of_type(CLUSTER)


def test_a_name_of_two_cells_is_the_lower_ones_whoever_had_it_first() -> None:
    one, two = addressed(cell(1, ports=(81,))), addressed(cell(2, ports=(82,)))
    late = translate(view_of(two), DEFAULT_RULESET, SETTINGS, NOW, None)
    both = translate(view_of(two, one, revision=8), DEFAULT_RULESET, SETTINGS, NOW, late)
    body = both.snapshot.of_type(ENDPOINT)["tls-443/pages.example"].body
    (zone,) = ClusterLoadAssignment.FromString(body).endpoints
    assert [place.endpoint.address.socket_address.port_value for place in zone.lb_endpoints] == [81]


def test_what_names_do_not_depend_on_leaves_them_as_they_are() -> None:
    first = translate(view_of(addressed(cell(1))), DEFAULT_RULESET, SETTINGS, NOW, None)
    light = translate(view_of(addressed(cell(1, weight=7))), DEFAULT_RULESET, SETTINGS, NOW, first)
    assert light.memo.named is first.memo.named
    assert light.snapshot.of_type(CLUSTER) is first.snapshot.of_type(CLUSTER)
