"""Who stands before the console, and whether they may act: by a proxy's header, or by a client certificate.

The pages ask it at each request. Everybody may read. A header counts only from the networks that were named;
nobody may act who was not named. It knows no action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from cellplane.settings import SettingsError

EVERYBODY: Final = "*"
MARK: Final = "x-cellplane-console"
"""A header that no form of another site can send: a browser asks first whether it may, and is refused."""
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Who may act: `operators` by name, `*` for all who are vouched for. `proxies`: whose header is
    believed.
    """

    operators: frozenset[str] = frozenset()
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    user_header: str = "x-forwarded-user"
    certificates: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks; `why_not` says why they may not act, and is empty where they may."""

    name: str
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request shows of who sent it: the other end's address, its verified name, the headers."""

    address: str
    certificate_name: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read networks; raise SettingsError with the fix where one is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except ValueError as error:
            raise SettingsError(
                f"--console-proxy: {error}; write an address or a network: 10.0.0.7, 10.1.0.0/16."
            ) from None
    return tuple(found)


def visitor(settings: ConsoleSettings, asked: Asked) -> Visitor:
    """Say who asks. A certificate goes before a header; of a header that comes twice nothing is believed."""
    if not settings.operators:
        return Visitor("", "the console is read-only: no --console-operator is named")
    if settings.certificates and asked.certificate_name:
        return _named(settings, asked.certificate_name)
    if not _is_proxy(settings, asked.address):
        return Visitor("", f"nobody vouches for you: {_ways(settings)}")
    values = asked.headers.get(settings.user_header, ())
    if len(values) != 1 or not 0 < len(values[0].strip()) <= _LONGEST_NAME:
        return Visitor("", f"the proxy did not say who you are: {settings.user_header} is not there once")
    return _named(settings, values[0].strip())


def foreign(headers: Mapping[str, Sequence[str]], content_type: str) -> str:
    """Say why a request may be another site's doing and not the page's; empty where it cannot be.

    See https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    (custom request headers, Fetch metadata).
    """
    if content_type != "application/json":
        return "the body is not announced as application/json"
    if not headers.get(MARK):
        return f"the header {MARK} is missing"
    site = headers.get("sec-fetch-site", ())
    if any(value != "same-origin" for value in site):
        return "another site's page sent it"
    return ""


def _named(settings: ConsoleSettings, name: str) -> Visitor:
    if name in settings.operators or EVERYBODY in settings.operators:
        return Visitor(name, "")
    return Visitor(name, f"{name} is no --console-operator")


def _is_proxy(settings: ConsoleSettings, address: str) -> bool:
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in settings.proxies)


def _ways(settings: ConsoleSettings) -> str:
    ways = ["come through the proxy that signs you in"] if settings.proxies else []
    ways += ["show a client certificate"] if settings.certificates else []
    return " or ".join(ways)
