from __future__ import annotations

from dataclasses import replace

import pytest

from envoy.cluster_parts import HTTP_OPTIONS
from envoy.clusters import HttpOptions, cluster, fixed_cluster, is_resolved_by_envoy
from envoy.edge import EdgeSettings
from envoy.ruleset import FixedCluster
from pb.envoy.config.cluster.v3.cluster_pb2 import Cluster
from pb.envoy.type.v3 import http_pb2
from tests.envoy.edge_rig import cell
from topology.model import Cell, CellState, Endpoint
from xds.resource import CLUSTER, ENDPOINT

SETTINGS = EdgeSettings()


def made(of: Cell, settings: EdgeSettings = SETTINGS) -> Cluster:
    return Cluster.FromString(cluster(of, settings).body)


def protocol(of: Cell) -> HttpOptions:
    options = HttpOptions()
    assert made(of).typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    return options


def test_a_cell_of_addresses_gets_its_endpoints_over_ads() -> None:
    resource = cluster(cell(3), SETTINGS)
    assert (resource.type, resource.name) == (CLUSTER, "cell-3")
    assert resource.references == {(ENDPOINT, "cell-3")}
    message = made(cell(3))
    assert message.type == Cluster.EDS
    assert message.eds_cluster_config.eds_config.HasField("ads")
    assert not message.HasField("load_assignment")


def test_a_cell_of_names_is_resolved_by_envoy() -> None:
    named = cell(3, host="app.cell-3.test")
    assert is_resolved_by_envoy(named)
    assert not is_resolved_by_envoy(cell(3))
    assert cluster(named, SETTINGS).references == frozenset()
    message = made(named)
    assert message.type == Cluster.STRICT_DNS
    (locality,) = message.load_assignment.endpoints
    assert locality.lb_endpoints[0].endpoint.address.socket_address.address == "app.cell-3.test"


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 7},
        {"state": CellState.CORDONED},
        {"endpoints": (Endpoint(host="10.0.0.9", port=1), Endpoint(host="10.0.0.8", port=2, zone="z"))},
        {"region": "eu", "ring": 3, "epoch": 9, "session_prefix": "other", "name": "other"},
    ],
)
def test_a_cluster_stays_when_weight_state_or_endpoints_change(change: dict[str, object]) -> None:
    changed = replace(cell(3), **change)  # type: ignore[arg-type]
    assert cluster(changed, SETTINGS).version == cluster(cell(3), SETTINGS).version


def test_http2_is_spoken_where_the_cell_says_so() -> None:
    assert protocol(cell(3)).explicit_http_config.HasField("http_protocol_options")
    spoken = protocol(cell(3, http2=True)).explicit_http_config
    assert spoken.http2_protocol_options.connection_keepalive.interval.seconds == 30
    assert made(cell(3, http2=True)).health_checks[0].http_health_check.codec_client_type == http_pb2.HTTP2


def test_health_is_checked_where_a_path_says_how() -> None:
    (check,) = made(cell(3)).health_checks
    assert check.http_health_check.path == "/-/liveness"
    assert (check.interval.seconds, check.no_traffic_interval.seconds, check.timeout.seconds) == (5, 5, 1)
    assert made(cell(3), EdgeSettings(health_check_path="")).health_checks == []


def test_with_no_healthy_endpoint_all_are_tried() -> None:
    assert made(cell(3)).common_lb_config.healthy_panic_threshold.value == 1


def test_the_applications_own_errors_eject_nobody() -> None:
    ejection = made(cell(3)).outlier_detection
    assert ejection.enforcing_consecutive_5xx.value == 0
    assert ejection.enforcing_success_rate.value == 0
    assert ejection.consecutive_local_origin_failure.value == 5
    assert ejection.max_ejection_percent.value == 50


def test_limits_come_from_the_settings() -> None:
    settings = EdgeSettings(
        max_connections_per_cell=1, max_pending_requests_per_cell=2, max_requests_per_cell=3
    )
    (limits,) = made(cell(3), settings).circuit_breakers.thresholds
    found = (limits.max_connections.value, limits.max_pending_requests.value, limits.max_requests.value)
    assert found == (1, 2, 3)


def test_a_cluster_of_the_rulesets_own_has_its_endpoints_inside() -> None:
    for host, kind in (("10.0.0.1", Cluster.STATIC), ("www.example", Cluster.STRICT_DNS)):
        fixed = FixedCluster(name="site", endpoints=(Endpoint(host=host, port=80),))
        resource = fixed_cluster(fixed, SETTINGS)
        assert (resource.name, resource.references) == ("fixed-site", frozenset())
        message = Cluster.FromString(resource.body)
        assert message.type == kind
        (place,) = message.load_assignment.endpoints[0].lb_endpoints
        assert place.endpoint.address.socket_address.address == host
        assert not message.health_checks


def test_cells_that_are_gone_without_a_word_are_found() -> None:
    asked = made(cell(3)).upstream_connection_options.tcp_keepalive
    found = (asked.keepalive_time, asked.keepalive_interval, asked.keepalive_probes)
    assert [each.value for each in found] == [60, 20, 3]
