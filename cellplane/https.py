"""The TLS of what we serve over HTTP: our certificate, and whether clients must, may or need not show theirs.

The status pages and the Topology Service's pages start with it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from cellplane.settings import TlsFiles


def https_context(files: TlsFiles, *, demanding: bool) -> ssl.SSLContext | None:
    """Give the context; None where there is no certificate of ours. `demanding`: a CA for clients makes their
    certificate a must, else it is verified where one is shown. Raise OSError where a file is not right.
    """
    if files.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.ca)
    context.load_cert_chain(files.cert, files.key)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if demanding else ssl.CERT_OPTIONAL
    return context


def common_name(certificate: Mapping[str, Any] | None) -> str:
    """Give the common name of a certificate that TLS verified; empty where there is none."""
    subject = (certificate or {}).get("subject", ())
    return str(dict(part for parts in subject for part in parts).get("commonName", ""))
