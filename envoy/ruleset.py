"""The ruleset: how a request finds its cell, as values.

`ruleset_parser` makes them of the document in the store; the translators and the evaluator read them. The
order of rules is data, and the first that names a cell wins. It knows no cell: whether a rule's cell serves
is asked when a request comes. `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any, Final

from envoy.match_rules import MatchRule
from envoy.traffic import TrafficClass
from topology.model import Endpoint

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRule:
    """An operator names the cell in a header; heard only from these networks or identities.

    The network is the direct peer's, never X-Forwarded-For's; an identity is a URI or DNS name in the
    client's verified certificate. From `until` on nobody is heard.
    """

    name: str
    header: str
    networks: tuple[Network, ...] = ()
    identities: tuple[str, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPrefixRule:
    """Paths at or below a prefix belong to a cell. Whole segments count, and the longest prefix wins."""

    name: str
    prefixes: Mapping[str, int] = field(hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", MappingProxyType(dict(self.prefixes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookieRule:
    """A cookie that starts with a cell's session prefix and a hyphen: `_gitlab_session=cell-3-…`."""

    name: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRule:
    """Whatever nobody owns, divided by the cells' weights."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCluster:
    """A cluster of the ruleset's own, which is no cell: a static site, an old installation."""

    name: str
    endpoints: tuple[Endpoint, ...]
    http2: bool = False


Rule = OverrideRule | PathPrefixRule | SessionCookieRule | MatchRule | DefaultRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Rules in their order; the last one is the only default.

    `reserved` are the first segments of paths that are pages of the application's own, and no namespace's.
    `traffic` are the classes in their order: a request is in the first that it matches.
    """

    rules: tuple[Rule, ...]
    reserved: frozenset[str] = frozenset()
    clusters: tuple[FixedCluster, ...] = ()
    traffic: tuple[TrafficClass, ...] = ()

    @property
    def matches(self) -> tuple[MatchRule, ...]:
        """List the rules that match on parts of a request."""
        return tuple(rule for rule in self.rules if isinstance(rule, MatchRule))

    @property
    def override_headers(self) -> tuple[str, ...]:
        """List the headers that name a cell; no cell ever sees them."""
        return tuple(dict.fromkeys(rule.header for rule in self.rules if isinstance(rule, OverrideRule)))


def ruleset_at(ruleset: Ruleset, now: datetime) -> Ruleset:
    """Give the ruleset of a moment: nobody may use an override that has run out."""
    over = [each for each in ends(ruleset) if each <= now]
    if not over:
        return ruleset
    rules = (
        replace(rule, networks=(), identities=())
        if isinstance(rule, OverrideRule) and rule.until in over
        else rule
        for rule in ruleset.rules
    )
    return replace(ruleset, rules=tuple(rules))


def ends(ruleset: Ruleset) -> tuple[datetime, ...]:
    """List the moments at which overrides run out."""
    return tuple(rule.until for rule in ruleset.rules if isinstance(rule, OverrideRule) and rule.until)


DEFAULT_DOCUMENT: Final[Mapping[str, Any]] = {
    "schema": 1,
    "rules": [
        {
            "name": "override",
            "type": "override",
            "header": "x-cellplane-override",
            "networks": ["127.0.0.0/8", "::1/128"],
            "identities": [],
        },
        {"name": "path", "type": "path_prefix", "prefixes": {}},
        {"name": "session", "type": "session_cookie", "cookie": "_gitlab_session"},
        {"name": "default", "type": "default"},
    ],
}
