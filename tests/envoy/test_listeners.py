from __future__ import annotations

import socket
from dataclasses import replace

from envoy.connection_manager import Hcm
from envoy.edge import EdgeSettings, EdgeTls, Lookups
from envoy.listeners import listeners
from pb.envoy.config.core.v3.address_pb2 import SocketAddress
from pb.envoy.config.listener.v3.listener_pb2 import Listener
from pb.envoy.extensions.transport_sockets.quic.v3.quic_transport_pb2 import QuicDownstreamTransport
from pb.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from topology.model import Endpoint
from xds.resource import CLUSTER, LISTENER, ROUTE, SECRET

TLS = EdgeTls(certificate="/c.pem", key="/k.pem")
ASKING = Lookups(endpoints=(Endpoint(host="10.0.0.5", port=1),))


def made(settings: EdgeSettings) -> Listener:
    return Listener.FromString(listeners(settings)[0].body)


def test_the_listener_names_what_it_waits_for() -> None:
    (resource,) = listeners(EdgeSettings())
    assert (resource.type, resource.name) == (LISTENER, "edge")
    assert resource.references == {(ROUTE, "edge")}
    (asking,) = listeners(EdgeSettings(lookups=ASKING, tls=replace(TLS, client_ca="/ca.pem")))
    wanted = {
        (ROUTE, "edge"),
        (CLUSTER, "ext-proc"),
        (CLUSTER, "ext-proc-shadow"),
        (SECRET, "edge"),
        (SECRET, "edge-client-ca"),
    }
    assert asking.references == wanted


def test_it_listens_where_it_is_told() -> None:
    address = made(EdgeSettings(listen_address="::", listen_port=443)).address.socket_address
    assert (address.address, address.port_value, address.ipv4_compat) == ("::", 443, True)
    assert not made(EdgeSettings()).address.socket_address.ipv4_compat


def test_without_tls_there_is_none() -> None:
    assert not made(EdgeSettings()).filter_chains[0].HasField("transport_socket")
    context = DownstreamTlsContext()
    assert made(EdgeSettings(tls=TLS)).filter_chains[0].transport_socket.typed_config.Unpack(context)
    assert list(context.common_tls_context.alpn_protocols) == ["h2", "http/1.1"]


def test_files_are_not_in_it_so_that_others_change_no_listener() -> None:
    others = EdgeTls(certificate="/other.pem", key="/other.key", client_ca="/other-ca.pem")
    before = listeners(EdgeSettings(tls=replace(TLS, client_ca="/ca.pem", http3=True)))
    after = listeners(EdgeSettings(tls=replace(others, http3=True)))
    assert [each.version for each in before] == [each.version for each in after]


def test_http3_has_a_listener_beside_it() -> None:
    tcp, quic = listeners(EdgeSettings(tls=replace(TLS, http3=True)))
    assert (tcp.name, quic.name) == ("edge", "edge-http3")
    assert quic.references == tcp.references
    message = Listener.FromString(quic.body)
    assert message.address.socket_address.protocol == SocketAddress.UDP
    assert message.address.socket_address.port_value == made(EdgeSettings()).address.socket_address.port_value
    (chain,) = message.filter_chains
    socket_, manager = QuicDownstreamTransport(), Hcm()
    assert chain.transport_socket.typed_config.Unpack(socket_)
    assert list(socket_.downstream_tls_context.common_tls_context.alpn_protocols) == ["h3"]
    assert chain.filters[-1].typed_config.Unpack(manager)
    assert (manager.codec_type, manager.rds.route_config_name) == (Hcm.HTTP3, "edge")


def test_clients_that_are_gone_without_a_word_are_found() -> None:
    asked = {(each.level, each.name): each.int_value for each in made(EdgeSettings()).socket_options}
    assert asked == {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 60,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 20,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    }
