from __future__ import annotations

import socket

from envoy.edge import EdgeSettings, EdgeTls
from envoy.listeners import Hcm, listener
from pb.envoy.config.listener.v3.listener_pb2 import Listener
from pb.envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation,
)
from pb.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from xds.resource import LISTENER, ROUTE

TLS = EdgeTls(certificate="/c.pem", key="/k.pem")
MTLS = EdgeTls(certificate="/c.pem", key="/k.pem", client_ca="/ca.pem")


def made(settings: EdgeSettings) -> Listener:
    return Listener.FromString(listener(settings).body)


def manager(settings: EdgeSettings) -> Hcm:
    found = Hcm()
    assert made(settings).filter_chains[0].filters[-1].typed_config.Unpack(found)
    return found


def mutations(settings: EdgeSettings) -> list[str]:
    found = HeaderMutation()
    (extension,) = manager(settings).early_header_mutation_extensions
    assert extension.typed_config.Unpack(found)
    return [each.remove or each.append.header.value for each in found.mutations]


def test_the_listener_asks_for_its_routes_and_waits_for_them() -> None:
    resource = listener(EdgeSettings())
    assert (resource.type, resource.name) == (LISTENER, "edge")
    assert resource.references == {(ROUTE, "edge")}
    rds = manager(EdgeSettings()).rds
    assert rds.route_config_name == "edge"
    assert rds.config_source.HasField("initial_fetch_timeout")
    assert rds.config_source.initial_fetch_timeout.ToMilliseconds() == 0


def test_it_listens_where_it_is_told() -> None:
    address = made(EdgeSettings(listen_address="::", listen_port=443)).address.socket_address
    assert (address.address, address.port_value, address.ipv4_compat) == ("::", 443, True)
    assert not made(EdgeSettings()).address.socket_address.ipv4_compat


def test_paths_are_normalised_and_peers_are_not_taken_at_their_word() -> None:
    found = manager(EdgeSettings())
    assert found.normalize_path.value
    assert found.merge_slashes
    assert found.use_remote_address.value
    assert found.path_with_escaped_slashes_action == Hcm.KEEP_UNCHANGED
    assert not manager(EdgeSettings(merge_slashes=False)).merge_slashes


def test_a_clients_copies_of_our_headers_are_removed_first() -> None:
    removed = ["x-cellplane-cell", "x-cellplane-rule", "x-cellplane-identity", "x-cellplane-session"]
    assert mutations(EdgeSettings()) == removed
    assert mutations(EdgeSettings(tls=TLS)) == removed
    names = ["%DOWNSTREAM_PEER_URI_SAN%", "%DOWNSTREAM_PEER_DNS_SAN%"]
    assert mutations(EdgeSettings(tls=MTLS)) == removed + names


def test_tls_comes_from_files_and_a_client_ca_verifies_clients() -> None:
    assert not made(EdgeSettings()).filter_chains[0].HasField("transport_socket")
    for tls, ca in ((TLS, ""), (MTLS, "/ca.pem")):
        context = DownstreamTlsContext()
        socket = made(EdgeSettings(tls=tls)).filter_chains[0].transport_socket
        assert socket.typed_config.Unpack(context)
        (certificate,) = context.common_tls_context.tls_certificates
        assert (certificate.certificate_chain.filename, certificate.private_key.filename) == (
            "/c.pem",
            "/k.pem",
        )
        assert context.common_tls_context.validation_context.trusted_ca.filename == ca
        assert not context.require_client_certificate.value
        assert list(context.common_tls_context.alpn_protocols) == ["h2", "http/1.1"]


def test_the_access_log_is_off_unless_wanted_and_never_holds_a_query() -> None:
    assert not manager(EdgeSettings()).access_log
    (log,) = manager(EdgeSettings(access_log=True)).access_log
    assert b"%PATH(NQ:PATH)%" in log.typed_config.value
    assert b"%REQ(:PATH)%" not in log.typed_config.value


def test_nothing_cuts_a_stream_that_moves() -> None:
    found = manager(EdgeSettings(stream_idle_seconds=60))
    assert found.stream_idle_timeout.seconds == 60
    assert not found.HasField("request_timeout")
    assert not found.common_http_protocol_options.HasField("max_stream_duration")
    assert not found.common_http_protocol_options.HasField("max_connection_duration")


def test_clients_that_are_gone_without_a_word_are_found() -> None:
    asked = {(each.level, each.name): each.int_value for each in made(EdgeSettings()).socket_options}
    assert asked == {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 60,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 20,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    }
