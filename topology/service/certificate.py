"""What a certificate that TLS verified says: whom it names, and until when it holds.

The gate and the pages over HTTP ask, so that both read the same. A handshake looks at the date once, and the
connection lasts as long as it likes. Before `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from topology.service.failure import Failure

_now = time.time


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate. `name` is empty unless it has exactly one common name: of several, each reader would
    choose another. `until` is in seconds since 1970.
    """

    name: str = ""
    until: float = math.inf

    @property
    def seconds_left(self) -> float:
        """How long it holds; below 0 since it does not."""
        return self.until - _now()

    def check(self) -> None:
        """Raise Failure where it holds no more."""
        if self.seconds_left < 0:
            raise expired()


NONE_SHOWN = Shown()


def expired() -> Failure:
    """Say that a certificate has run out while its connection was open."""
    words = "the certificate of this connection has expired: connect again with a new one"
    return Failure(grpc.StatusCode.UNAUTHENTICATED, words, "CERTIFICATE_EXPIRED")


@lru_cache(maxsize=4096)  # of a connection's calls each shows the same
def shown(encoded: bytes) -> Shown:
    """Read a certificate, as PEM or DER. TLS has verified it; what can't be read here names nobody."""
    pem = encoded.startswith(b"-----BEGIN")
    try:
        certificate = (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(encoded)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        until = certificate.not_valid_after_utc.timestamp()
    except ValueError:
        return NONE_SHOWN
    name = names[0].value if len(names) == 1 else ""
    return Shown(name if isinstance(name, str) else "", until)
