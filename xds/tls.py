"""TLS for the xDS server: certificates from files, read again when they change; the client's identity.

The server asks it for credentials, and for who is at the other end of a stream. Keys are read, never shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from xds.errors import CertificateError
from xds.nodes import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Where the server's certificate is. With `client_ca`, clients must present one that it signed (mutual
    TLS).
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


def credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Make credentials that follow the files: what is there at a handshake counts, no restart needed.

    Raises CertificateError where a file can't be read now. Later, the last good ones stand.
    """
    files = _Files(tls)
    return grpc.dynamic_ssl_server_credentials(
        files.load(),
        files.if_changed,  # type: ignore[arg-type]  # None is "unchanged"; the stubs forget it
        require_client_authentication=tls.client_ca is not None,
    )


def identity(auth_context: Mapping[str, Iterable[bytes]]) -> Identity | None:
    """Read who the peer is from what gRPC verified; None where it showed no certificate. One that names
    nobody is nobody's, which is not the same.
    """

    def texts(*properties: str) -> tuple[str, ...]:
        return tuple(text.decode() for each in properties for text in auth_context.get(each, ()))

    if not texts("x509_pem_cert"):
        return None
    return Identity(
        common_name=next(iter(texts("x509_common_name")), ""),
        uris=texts("peer_uri"),
        dns_names=texts("peer_dns", "peer_ip"),
    )


class _Files:
    """Remembers when the files were last seen to change."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._seen: tuple[int, ...] = ()

    def load(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        try:
            # Taken before the files are read, and kept only once they were: a file that could not be read is
            # tried again.
            seen = self._times()
            root = tls.client_ca.read_bytes() if tls.client_ca else None
            pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from error
        self._seen = seen
        return grpc.ssl_server_certificate_configuration([pair], root)

    def if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return new ones if there are any. Called by gRPC at each handshake, on a thread of its own."""
        try:
            return self.load() if self._times() != self._seen else None
        except (OSError, CertificateError):
            return None

    def _times(self) -> tuple[int, ...]:
        paths = (self._tls.certificate, self._tls.key, self._tls.client_ca)
        return tuple(path.stat().st_mtime_ns for path in paths if path is not None)
