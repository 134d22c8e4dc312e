from __future__ import annotations

from envoy.edge import EdgeTls
from envoy.secrets import downstream_context, secret_references, secrets
from pb.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from xds.resource import SECRET

TLS = EdgeTls(certificate="/c.pem", key="/k.pem")
MTLS = EdgeTls(certificate="/c.pem", key="/k.pem", client_ca="/ca.pem")


def test_secrets_name_files_and_hold_no_key() -> None:
    certificate, trusted = (Secret.FromString(each.body) for each in secrets(MTLS))
    assert certificate.tls_certificate.certificate_chain.filename == "/c.pem"
    assert certificate.tls_certificate.private_key.filename == "/k.pem"
    assert trusted.validation_context.trusted_ca.filename == "/ca.pem"


def test_a_listener_names_those_that_there_are() -> None:
    for tls in (TLS, MTLS):
        assert secret_references(tls) == tuple((SECRET, each.name) for each in secrets(tls))
    assert secret_references(None) == ()


def test_a_client_ca_asks_for_certificates_and_demands_none() -> None:
    for tls, asks in ((TLS, False), (MTLS, True)):
        context = downstream_context(tls, ("h2",))
        assert context.common_tls_context.HasField("validation_context_sds_secret_config") is asks
        assert not context.require_client_certificate.value


def test_a_listener_waits_for_its_certificate() -> None:
    (named,) = downstream_context(TLS, ("h2",)).common_tls_context.tls_certificate_sds_secret_configs
    assert named.sds_config.HasField("ads")
    assert named.sds_config.HasField("initial_fetch_timeout")
    assert named.sds_config.initial_fetch_timeout.ToMilliseconds() == 0
