"""Addresses of status and admin pages as people type them, and why one does not answer, in their words.

Commands that ask a control plane, an ext_proc server or an Envoy over HTTP read them through here. It asks
nobody (`Snapshot -> Response`, seen from the other end).
"""

from __future__ import annotations

from urllib.error import URLError


def url_of(address: str) -> str:
    """Give an address as a URL without an end: `10.0.0.5:9901` is meant as `http://10.0.0.5:9901`."""
    return (address if "//" in address else f"http://{address}").rstrip("/")


def why(error: Exception) -> str:
    """Say why an address gave no answer, without the layers that it came through."""
    reason = error.reason if isinstance(error, URLError) else error
    return str((isinstance(reason, OSError) and reason.strerror) or reason).rstrip(".")
