from __future__ import annotations

from envoy.connection_manager import Hcm
from envoy.edge import EdgeSettings, EdgeTls
from envoy.redirect import redirect_listener
from pb.envoy.config.listener.v3.listener_pb2 import Listener


def manager(public_port: int = 443) -> Hcm:
    tls = EdgeTls(certificate="/c.pem", key="/k.pem", redirect_port=80, public_port=public_port)
    (resource,) = redirect_listener(EdgeSettings(tls=tls))
    message, found = Listener.FromString(resource.body), Hcm()
    assert message.address.socket_address.port_value == 80
    assert message.filter_chains[0].filters[-1].typed_config.Unpack(found)
    return found


def test_there_is_none_unless_it_is_wanted() -> None:
    assert not list(redirect_listener(EdgeSettings()))
    assert not list(redirect_listener(EdgeSettings(tls=EdgeTls(certificate="/c.pem", key="/k.pem"))))


def test_it_has_one_answer_and_no_rule() -> None:
    found = manager()
    assert not found.HasField("rds")
    assert [each.name for each in found.http_filters] == ["envoy.filters.http.router"]
    (route,) = found.route_config.virtual_hosts[0].routes
    assert (route.redirect.https_redirect, route.redirect.port_redirect) == (True, 0)
    (elsewhere,) = manager(8443).route_config.virtual_hosts[0].routes
    assert elsewhere.redirect.port_redirect == 8443
