"""Who a client is, which group it gets, and whether that still holds while its stream lasts.

The server asks it when a stream begins, and every few minutes from then on (`Snapshot -> Response`, before
and beside it). The handshake has verified the certificate; what may have changed since is its date, who is
trusted, and what the rule says. It ends nothing itself.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from xds.nodes import Classify, Identity, Node, Refusal
from xds.tls import identity
from xds.wire import ProtocolError, Status

log = logging.getLogger("xds.authorization")

EXPIRED: Final = ProtocolError(Status.UNAUTHENTICATED, "the certificate of this stream has expired")
DISTRUSTED: Final = ProtocolError(
    Status.UNAUTHENTICATED, "whoever signed the certificate of this stream is not trusted any more"
)

AuthContext = Mapping[str, Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that is served, and what it showed for it."""

    node: Node
    group: str
    identity: Identity | None = None
    certificate: x509.Certificate | None = None
    """None without mutual TLS."""
    is_signed_directly: bool = False
    """Whether a trusted authority signed it, and no intermediate that only the handshake has seen."""


class Authorization:
    """Asks the rule, and the certificates."""

    def __init__(self, classify: Classify, wall_clock: Callable[[], float]) -> None:
        self._classify = classify
        self._wall_clock = wall_clock
        self._authorities: Authorities | None = None

    def trust(self, client_ca: Path) -> None:
        """Look from now on whether those in this file are still the ones who signed."""
        self._authorities = Authorities(client_ca)

    def admit(self, node: Node, context: AuthContext) -> Admitted | ProtocolError:
        """Find the group of a client, or tell why its stream must end."""
        who = identity(context)
        group = self._classify(node, who)
        if isinstance(group, Refusal):
            return _refused(node, group.reason)
        certificate = _certificate(context)
        trusted = self._authorities.now() if self._authorities is not None else ()
        direct = certificate is not None and _is_signed_by(certificate, trusted)
        return Admitted(node, group, who, certificate, direct)

    def recheck(self, admitted: Admitted) -> ProtocolError | None:
        """Ask again who is served what: tell why this stream must end, if it must."""
        if (problem := self._distrusted(admitted)) is not None:
            log.warning("stream_refused node=%.200s reason=%s", admitted.node.id, problem.message)
            return problem
        group = self._classify(admitted.node, admitted.identity)
        if isinstance(group, Refusal):
            return _refused(admitted.node, group.reason)
        if group != admitted.group:
            return ProtocolError(
                Status.UNAVAILABLE, f"this node belongs to group {group!r} now; connect again"
            )
        return None

    def _distrusted(self, admitted: Admitted) -> ProtocolError | None:
        certificate = admitted.certificate
        if certificate is None:
            return None
        if certificate.not_valid_after_utc.timestamp() < self._wall_clock():
            return EXPIRED
        if admitted.is_signed_directly and self._authorities is not None:
            return None if _is_signed_by(certificate, self._authorities.now()) else DISTRUSTED
        return None


class Authorities:
    """The certificates in a file, as they are now; while it can't be read, as they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._found: tuple[x509.Certificate, ...] = ()

    def now(self) -> tuple[x509.Certificate, ...]:
        """Return them, read again where the file has changed."""
        try:
            seen = self._path.stat().st_mtime_ns
            if seen != self._seen:
                self._found = tuple(x509.load_pem_x509_certificates(self._path.read_bytes()))
                self._seen = seen
        except (OSError, ValueError):
            # Half written, perhaps: the next look may find it whole.
            pass
        return self._found


def _is_signed_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, TypeError, ValueError):
            continue
        return True
    return False


def _certificate(context: AuthContext) -> x509.Certificate | None:
    for pem in context.get("x509_pem_cert", ()):
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError:
            # gRPC was content with it. It lives as long as its stream may.
            return None
    return None


def _refused(node: Node, reason: str) -> ProtocolError:
    log.warning("stream_refused node=%.200s reason=%s", node.id, reason)
    return ProtocolError(Status.PERMISSION_DENIED, reason)
