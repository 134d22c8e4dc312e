"""TLS contexts: whom they trust by which name, and what they show."""

from __future__ import annotations

from envoy.edge import EdgeTls, LookupTls
from envoy.tls_contexts import downstream, transport_socket, upstream
from pb.envoy.extensions.transport_sockets.tls.v3.common_pb2 import SubjectAltNameMatcher


def test_a_server_has_to_be_one_of_the_names() -> None:
    made = upstream(["t.internal", "10.0.0.1"], LookupTls(ca="/ca"), sni="t.internal")
    validation = made.common_tls_context.validation_context
    assert validation.trusted_ca.filename == "/ca"
    assert [(each.san_type, each.matcher.exact) for each in validation.match_typed_subject_alt_names] == [
        (SubjectAltNameMatcher.DNS, "t.internal"),
        (SubjectAltNameMatcher.IP_ADDRESS, "10.0.0.1"),
    ]
    assert (made.sni, list(made.common_tls_context.alpn_protocols)) == ("t.internal", ["h2"])
    assert not made.common_tls_context.tls_certificates


def test_our_own_certificate_is_shown_if_there_is_one() -> None:
    made = upstream(["t"], LookupTls(ca="/ca", certificate="/c", key="/k"))
    (shown,) = made.common_tls_context.tls_certificates
    assert (shown.certificate_chain.filename, shown.private_key.filename) == ("/c", "/k")


def test_nobody_comes_in_without_a_certificate() -> None:
    made = downstream(EdgeTls(certificate="/c", key="/k", client_ca="/ca"))
    assert made.require_client_certificate.value
    assert made.common_tls_context.validation_context.trusted_ca.filename == "/ca"
    assert transport_socket(made).name == "envoy.transport_sockets.tls"
