"""The written forms that records use: host names, addresses, labels, times. Text in, a verdict out.

The model's checks hand it strings from operators and from etcd. It says what is wrong and how to mend it, and
never resolves a name, reads a clock or guesses what was meant. First stop on `etcd Event -> View -> Snapshot
-> Response`.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_ZONE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_PREFIX: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_DNS_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_UTC: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|\+00:00)\Z")
_SCHEMES: Final = ("http", "https", "ws", "wss", "ssh", "grpc", "grpcs")
PREFIX_LENGTH: Final = 64
TEXT_LENGTH: Final = 500


def label_problem(text: str) -> str | None:
    """Judge a name such as a cell's: lower-case letters, digits and hyphens, as in a host name."""
    if _LABEL.match(text):
        return None
    return f"{text!r} is no name: use 1 to 63 lower-case letters, digits and inner hyphens, such as cell-4"


def zone_problem(text: str) -> str | None:
    """Judge a zone or region; empty means that there is none."""
    if not text or _ZONE.match(text):
        return None
    return f"{text!r} is no zone or region: use 1 to 63 letters, digits and inner . _ -, such as eu-west-1a"


def prefix_problem(text: str) -> str | None:
    """Judge a session prefix: what stands before the last hyphen of the session cookie."""
    if len(text) <= PREFIX_LENGTH and _PREFIX.match(text):
        return None
    return f"{text!r} is no session prefix: use a-z, 0-9 and single inner hyphens, such as cell-4"


def text_problem(text: str, *, required: bool) -> str | None:
    """Judge free text, which later ends up in terminals and logs."""
    if required and not text.strip():
        return "is empty: say who or what it is"
    if len(text) > TEXT_LENGTH:
        return f"is {len(text)} characters long: keep it within {TEXT_LENGTH}"
    if not text.isprintable():
        return "holds control characters: use plain printable text on one line"
    return None


def is_ip(host: str) -> bool:
    """Tell whether the host is an IP literal (IPv6 without brackets)."""
    return _address(host) is not None


def canonical_host(host: str) -> str:
    """Spell a host so that two spellings of one host are equal."""
    address = _address(host)
    return str(address) if address else host.lower().rstrip(".")


def host_problem(host: str) -> str | None:
    """Judge a host that Envoy connects to: an IP literal that names one machine, or a DNS name."""
    address = _address(host)
    if address is None:
        return _name_problem(host)
    if address.is_unspecified or address.is_multicast:
        return f"{host} names no single machine: give the address that it listens on"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return f"{host} has a scope, which other machines do not share: give an address without %"
    return None


@lru_cache(maxsize=4096)  # every endpoint is asked about several times, and parsing is slow
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _name_problem(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        return f"{host} has brackets: write an IPv6 address without them"
    labels = host.split(".")
    if len(host) > 253 or not all(_DNS_LABEL.match(label) for label in labels):
        return f"{host!r} is neither an IP address nor a DNS name: give one, without scheme, port or path"
    if labels[-1].isdigit():
        return f"{host} looks like an IPv4 address but is none: give four numbers from 0 to 255"
    return None


def address_problem(address: str) -> str | None:
    """Judge an address as users see it: `host:port`, or a URL without credentials, query or fragment."""
    wrong = _address_fault(address)
    if wrong is None:
        return None
    return f"{address!r} {wrong}: write host:port, or a URL such as https://cell-4.example.com"


def _address_fault(address: str) -> str | None:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"is no address ({error})"
    faults = (
        (not address.isprintable() or " " in address, "holds blanks or control characters"),
        (not host, "has no host"),
        (
            parts.username is not None or "?" in address or "#" in address,
            "has credentials, query or fragment",
        ),
        (
            bool(parts.scheme) and parts.scheme not in _SCHEMES,
            f"has a scheme other than {', '.join(_SCHEMES)}",
        ),
        (not parts.scheme and bool(parts.path), "has a path but no scheme"),
        (not parts.scheme and port is None, "has no port"),
        (port == 0, "has port 0"),
        (host_problem(host) is not None, "has a host that is neither an IP address nor a DNS name"),
    )
    return next((words for wrong, words in faults if wrong), None)


def parse_utc(text: str) -> datetime | None:
    """Read an RFC 3339 time in UTC (`2026-01-31T12:00:00Z`); None where it is none."""
    if not _UTC.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def format_utc(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the microsecond, always of one length."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def utc_problem(text: str) -> str | None:
    """Judge a time stamp."""
    if parse_utc(text) is not None:
        return None
    return f"{text!r} is no time: write RFC 3339 in UTC, such as 2026-01-31T12:00:00Z"
