from __future__ import annotations

from envoy.cluster_parts import Cluster, place
from topology.model import Endpoint


def test_addresses_stand_as_they_are() -> None:
    message = Cluster(name="c")
    place(message, (Endpoint(host="10.0.0.1", port=80),))
    assert message.type == Cluster.STATIC
    assert (
        message.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value == 80
    )


def test_one_name_among_them_has_envoy_resolve_and_give_up_soon() -> None:
    message = Cluster(name="c")
    place(message, (Endpoint(host="10.0.0.1", port=80), Endpoint(host="app.test", port=80)))
    assert message.type == Cluster.STRICT_DNS
    assert message.typed_dns_resolver_config.name == "envoy.network.dns_resolver.cares"
