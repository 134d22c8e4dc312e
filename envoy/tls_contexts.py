"""TLS of Envoy's connections to cells, ext_proc servers and Topology Services, and of a sidecar's own port.

Clusters and listeners ask for it. Files are named by their paths on the Envoys' hosts, and nothing here opens
them. `View -> Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import message as protobuf

from envoy.edge import EdgeTls, LookupTls
from envoy.matchers import packed
from pb.envoy.config.core.v3 import base_pb2
from pb.envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from pb.envoy.type.matcher.v3 import string_pb2
from topology.forms import is_ip


def transport_socket(context: protobuf.Message) -> base_pb2.TransportSocket:
    """Put a context where a cluster or a filter chain wants it."""
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def upstream(
    names: Iterable[str], files: LookupTls, *, sni: str = "", alpn: str = "h2"
) -> tls_pb2.UpstreamTlsContext:
    """Trust a certificate of the CA that is of one of these names or addresses, and show our own."""
    name = common_pb2.SubjectAltNameMatcher
    validation = common_pb2.CertificateValidationContext(
        trusted_ca=_file(files.ca),
        match_typed_subject_alt_names=(
            name(
                san_type=name.IP_ADDRESS if is_ip(each) else name.DNS,
                matcher=string_pb2.StringMatcher(exact=each),
            )
            for each in names
        ),
    )
    context = tls_pb2.CommonTlsContext(validation_context=validation, alpn_protocols=[alpn])
    if files.certificate:
        context.tls_certificates.add(certificate_chain=_file(files.certificate), private_key=_file(files.key))
    return tls_pb2.UpstreamTlsContext(common_tls_context=context, sni=sni)


def downstream(files: EdgeTls) -> tls_pb2.DownstreamTlsContext:
    """Let nobody in without a certificate of the client CA."""
    context = tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        tls_certificates=[
            common_pb2.TlsCertificate(
                certificate_chain=_file(files.certificate), private_key=_file(files.key)
            )
        ],
        alpn_protocols=["h2", "http/1.1"],
        validation_context=common_pb2.CertificateValidationContext(trusted_ca=_file(files.client_ca)),
    )
    found = tls_pb2.DownstreamTlsContext(common_tls_context=context)
    found.require_client_certificate.value = True
    return found


def _file(path: str) -> base_pb2.DataSource:
    return base_pb2.DataSource(filename=path)
