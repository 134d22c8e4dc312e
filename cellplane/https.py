"""The TLS of what we serve over HTTP: our certificate, and whether clients must, may or need not show theirs.

The status pages and the Topology Service's pages start with it. Files that are replaced count from the next
handshake on, as they do for gRPC.
"""

from __future__ import annotations

import logging
import ssl

from aiohttp import web

from cellplane.settings import TlsFiles
from topology.service.certificate import NONE_SHOWN, Shown, shown

log = logging.getLogger("cellplane.https")


def https_context(files: TlsFiles, *, demanding: bool) -> ssl.SSLContext | None:
    """Give the context; None where there is no certificate of ours. `demanding`: a CA for clients makes their
    certificate a must, else it is verified where one is shown. Raise OSError where a file is not right.
    """
    if files.cert is None:
        return None
    context = _read(files, demanding=demanding)
    current, seen = context, _times(files)

    def follow(handshake: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Hand over what the files hold by now; while they can't be read, what they held."""
        nonlocal current, seen
        try:
            if (times := _times(files)) != seen:
                current, seen = _read(files, demanding=demanding), times
                log.info("certificates_read_again cert=%s", files.cert)
        except OSError as error:  # an ssl.SSLError is one too
            log.warning("certificates_unreadable cert=%s error=%s", files.cert, error)
        handshake.context = current

    context.sni_callback = follow  # asked also where no name is sent
    return context


def _read(files: TlsFiles, *, demanding: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.ca)
    context.load_cert_chain(str(files.cert), files.key)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if demanding else ssl.CERT_OPTIONAL
    return context


def _times(files: TlsFiles) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in (files.cert, files.key, files.ca) if path is not None)


def certificate_of(request: web.Request) -> Shown:
    """Give what was shown for a request, which TLS verified; it names nobody where nothing was."""
    tls = request.get_extra_info("ssl_object")
    encoded = tls.getpeercert(binary_form=True) if tls else None
    return shown(encoded) if encoded else NONE_SHOWN
