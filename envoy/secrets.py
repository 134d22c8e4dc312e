"""The edge's certificates as secrets: pushed over SDS, so that new ones change no listener and drain nobody.

A secret names files on the Envoys' hosts and holds no key: keys never pass through the control plane or its
store. Envoy watches the files' folders, and takes a file up that is moved into its place. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf import wrappers_pb2

from envoy.durations import seconds
from envoy.edge import EdgeTls
from pb.envoy.config.core.v3 import base_pb2, config_source_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from xds.resource import SECRET, Reference, Resource

CERTIFICATE: Final = "edge"
CLIENT_CA: Final = "edge-client-ca"


def secrets(tls: EdgeTls) -> tuple[Resource, ...]:
    """Make the secrets: the certificate, and whom clients' certificates must come from."""
    certificate = common_pb2.TlsCertificate(
        certificate_chain=_file(tls.certificate), private_key=_file(tls.key)
    )
    made = [secret_pb2.Secret(name=CERTIFICATE, tls_certificate=certificate)]
    if tls.client_ca:
        trusted = common_pb2.CertificateValidationContext(trusted_ca=_file(tls.client_ca))
        made.append(secret_pb2.Secret(name=CLIENT_CA, validation_context=trusted))
    return tuple(Resource.of(SECRET, each.name, each) for each in made)


def secret_references(tls: EdgeTls | None) -> tuple[Reference, ...]:
    """List what a listener with this TLS names."""
    if tls is None:
        return ()
    return tuple((SECRET, name) for name in (CERTIFICATE, *([CLIENT_CA] if tls.client_ca else [])))


def downstream_context(tls: EdgeTls, protocols: Iterable[str]) -> tls_pb2.DownstreamTlsContext:
    """Make the TLS of a listener, whatever files the secrets name. Only a client CA makes Envoy ask for a
    client's certificate, and then it lets no other in; one that has none comes in all the same.
    """
    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        tls_certificate_sds_secret_configs=(_by_sds(CERTIFICATE),),
        alpn_protocols=protocols,
    )
    if tls.client_ca:
        context.validation_context_sds_secret_config.CopyFrom(_by_sds(CLIENT_CA))
    return tls_pb2.DownstreamTlsContext(
        common_tls_context=context, require_client_certificate=wrappers_pb2.BoolValue(value=False)
    )


def ads() -> config_source_pb2.ConfigSource:
    """Take it from the stream that everything comes by, and wait for it, however long: a listener without its
    routes or its certificate would answer everybody, and wrongly.
    """
    source = config_source_pb2.ConfigSource(
        resource_api_version=config_source_pb2.V3, initial_fetch_timeout=seconds(0)
    )
    source.ads.SetInParent()
    return source


def _by_sds(name: str) -> secret_pb2.SdsSecretConfig:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=ads())


def _file(path: str) -> base_pb2.DataSource:
    return base_pb2.DataSource(filename=path)
