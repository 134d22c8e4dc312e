"""The table of services is what Envoy's own descriptors say."""

from __future__ import annotations

from typing import Any

import pytest

from pb.envoy.annotations import resource_pb2
from pb.envoy.service.cluster.v3 import cds_pb2
from pb.envoy.service.discovery.v3 import ads_pb2
from pb.envoy.service.endpoint.v3 import eds_pb2
from pb.envoy.service.extension.v3 import config_discovery_pb2
from pb.envoy.service.listener.v3 import lds_pb2
from pb.envoy.service.route.v3 import rds_pb2, srds_pb2
from pb.envoy.service.runtime.v3 import rtds_pb2
from pb.envoy.service.secret.v3 import sds_pb2
from xds.resource import TYPES
from xds.services import SERVICES, Service

FILES = (
    ads_pb2,
    cds_pb2,
    eds_pb2,
    lds_pb2,
    rds_pb2,
    srds_pb2,
    sds_pb2,
    rtds_pb2,
    config_discovery_pb2,
)
# What each of these files declares: the service's methods, and the type that it is annotated with.
DECLARED: dict[str, Any] = {
    service.full_name: service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
}


def test_rule_1_every_service_is_served_once() -> None:
    assert sorted(service.name for service in SERVICES) == sorted(DECLARED)
    assert [service.only for service in SERVICES if service.only is None] == [None]
    assert {service.only for service in SERVICES} == {None, *TYPES}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name.rpartition(".")[2])
def test_rule_2_its_streaming_methods_are_those_that_envoy_calls(service: Service) -> None:
    methods = DECLARED[service.name].methods_by_name
    # The methods that fetch are REST's: they have no stream.
    streaming = {name: method for name, method in methods.items() if method.client_streaming}
    assert {service.delta, service.sotw} - {""} == set(streaming)
    assert streaming[service.delta].input_type.name == "DeltaDiscoveryRequest"
    assert streaming[service.delta].output_type.name == "DeltaDiscoveryResponse"
    if service.sotw:
        assert streaming[service.sotw].input_type.name == "DiscoveryRequest"
        assert streaming[service.sotw].output_type.name == "DiscoveryResponse"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name.rpartition(".")[2])
def test_rule_3_its_type_is_the_one_that_envoy_implies(service: Service) -> None:
    implied = DECLARED[service.name].GetOptions().Extensions[resource_pb2.resource].type
    assert (service.only.type_url if service.only else "") == (
        f"type.googleapis.com/{implied}" if implied else ""
    )


def test_rule_63_virtual_hosts_come_over_delta_only() -> None:
    assert [service.name for service in SERVICES if not service.sotw] == [
        "envoy.service.route.v3.VirtualHostDiscoveryService"
    ]
