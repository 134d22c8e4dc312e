"""The ruleset: how a request finds its cell, as a document from the store and as values.

The control plane hands `parse_ruleset` the document's body; the translators and the evaluator read the
result. The order of rules is data, and the first that names a cell wins. It knows no cell: whether a rule's
cell serves is asked when a request comes. `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import Any, Final

from envoy.edge import INTERNAL_HEADERS
from envoy.paths import prefix_problem
from topology.model import MAX_ID, Problem

SCHEMA: Final = 1
MAX_RULES: Final = 32
MAX_PREFIXES: Final = 10_000

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRule:
    """An operator names the cell in a header; heard only from these networks or identities.

    The network is the direct peer's, never X-Forwarded-For's; an identity is a URI or DNS name in the
    client's verified certificate.
    """

    name: str
    header: str
    networks: tuple[Network, ...] = ()
    identities: tuple[str, ...] = ()


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


Rule = OverrideRule | PathPrefixRule | SessionCookieRule | DefaultRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Rules in their order; the last one is the only default."""

    rules: tuple[Rule, ...]

    @property
    def override_headers(self) -> tuple[str, ...]:
        """List the headers that name a cell; no cell ever sees them."""
        return tuple(dict.fromkeys(rule.header for rule in self.rules if isinstance(rule, OverrideRule)))


DEFAULT_DOCUMENT: Final[Mapping[str, Any]] = {
    "schema": SCHEMA,
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

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_IDENTITY: Final = re.compile(
    r"[!-+.-~\-]{1,255}\Z"
)  # printable, and no comma: Envoy lists several with commas
_KEPT_HEADERS: Final = frozenset(
    {"authorization", "connection", "content-length", "cookie", "host", "te", "transfer-encoding", "upgrade"}
)
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "override": frozenset({"header", "networks", "identities"}),
    "path_prefix": frozenset({"prefixes"}),
    "session_cookie": frozenset({"cookie"}),
    "default": frozenset(),
}


def parse_ruleset(body: Any) -> Ruleset | tuple[Problem, ...]:
    """Read a ruleset document; what is wrong comes back as problems, all of them at once."""
    problems = tuple(_document_problems(body))
    if problems:
        return problems
    return Ruleset(rules=tuple(_rule(entry) for entry in body["rules"]))


def _rule(entry: Mapping[str, Any]) -> Rule:
    name = entry["name"]
    match entry["type"]:
        case "override":
            return OverrideRule(
                name=name,
                header=entry["header"].lower(),
                networks=tuple(ip_network(text) for text in entry.get("networks", ())),
                identities=tuple(entry.get("identities", ())),
            )
        case "path_prefix":
            return PathPrefixRule(name=name, prefixes=entry["prefixes"])
        case "session_cookie":
            return SessionCookieRule(name=name, cookie=entry["cookie"])
        case _:
            return DefaultRule(name=name)


def _document_problems(body: Any) -> Iterator[Problem]:
    if not isinstance(body, Mapping):
        yield Problem(field="", message="is no ruleset: write an object with schema and rules")
        return
    for key in body.keys() - {"schema", "rules"}:
        yield Problem(field=str(key), message="is unknown: a ruleset has schema and rules")
    if body.get("schema") != SCHEMA or isinstance(body.get("schema"), bool):
        yield Problem(field="schema", message=f"{body.get('schema')!r} is not known here: write {SCHEMA}")
    rules = body.get("rules")
    if not isinstance(rules, list | tuple) or not 1 <= len(rules) <= MAX_RULES:
        yield Problem(field="rules", message=f"must be a list of 1 to {MAX_RULES} rules, in their order")
        return
    names: dict[str, int] = {}
    cookies: dict[str, int] = {}
    for at, entry in enumerate(rules):
        path = f"rules[{at}]"
        if not isinstance(entry, Mapping):
            yield Problem(field=path, message="is no rule: write an object with name, type and what it needs")
            continue
        yield from _rule_problems(path, entry)
        yield from _repeated(f"{path}.name", names, entry.get("name"), at, "give each rule its own name")
        yield from _repeated(f"{path}.cookie", cookies, entry.get("cookie"), at, "the second never matches")
        is_last = at == len(rules) - 1
        if entry.get("type") == "default" and not is_last:
            message = "answers everything, so what comes after it is never reached: put it last"
            yield Problem(field=f"{path}.type", message=message)
        if is_last and entry.get("type") in _FIELDS and entry["type"] != "default":
            message = "the last rule must be of type default: say what happens to traffic that nobody owns"
            yield Problem(field=f"{path}.type", message=message)


def _repeated(path: str, seen: dict[str, int], value: Any, at: int, fix: str) -> Iterator[Problem]:
    if isinstance(value, str) and seen.setdefault(value, at) != at:
        yield Problem(field=path, message=f"{value!r} is already that of rules[{seen[value]}]: {fix}")


def _rule_problems(path: str, entry: Mapping[str, Any]) -> Iterator[Problem]:
    name, kind = entry.get("name"), entry.get("type")
    if not isinstance(name, str) or not _NAME.match(name):
        message = f"{name!r} is no name: use 1 to 32 of a-z, 0-9, - and _, such as session"
        yield Problem(field=f"{path}.name", message=message)
    if not isinstance(kind, str) or kind not in _FIELDS:
        message = f"{kind!r} is no type of rule: use one of {', '.join(_FIELDS)}"
        yield Problem(field=f"{path}.type", message=message)
        return
    known = _FIELDS[kind] | {"name", "type"}
    for key in entry.keys() - known:
        message = f"is unknown: a rule of type {kind} has {', '.join(sorted(known))}"
        yield Problem(field=f"{path}.{key}", message=message)
    if kind == "override":
        yield from _override_problems(path, entry)
    elif kind == "path_prefix":
        yield from _prefix_problems(f"{path}.prefixes", entry.get("prefixes"))
    elif kind == "session_cookie":
        cookie = entry.get("cookie")
        if not isinstance(cookie, str) or not _TOKEN.match(cookie):
            message = f"{cookie!r} is no cookie name: write one, such as _gitlab_session"
            yield Problem(field=f"{path}.cookie", message=message)


def _override_problems(path: str, entry: Mapping[str, Any]) -> Iterator[Problem]:
    header = entry.get("header")
    if not isinstance(header, str) or not _TOKEN.match(header) or "_" in header:
        message = f"{header!r} is no header name: write one without underscores, such as x-cellplane-override"
        yield Problem(field=f"{path}.header", message=message)
    elif header.lower() in _KEPT_HEADERS or header.lower() in INTERNAL_HEADERS:
        message = f"{header!r} is in use already: take a header of its own, such as x-cellplane-override"
        yield Problem(field=f"{path}.header", message=message)
    for key in ("networks", "identities"):
        if not isinstance(entry.get(key, ()), list | tuple):
            yield Problem(field=f"{path}.{key}", message="must be a list")
            return
    if not entry.get("networks") and not entry.get("identities"):
        message = (
            "nobody may use this rule: name networks, such as 10.0.0.0/8, or identities, or leave it out"
        )
        yield Problem(field=path, message=message)
    for at, text in enumerate(entry.get("networks", ())):
        if message := _network_problem(text) or "":
            yield Problem(field=f"{path}.networks[{at}]", message=message)
    for at, text in enumerate(entry.get("identities", ())):
        if not isinstance(text, str) or not _IDENTITY.match(text):
            message = f"{text!r} is no identity: write a URI or DNS name as in the client's certificate"
            yield Problem(field=f"{path}.identities[{at}]", message=message)


def _network_problem(text: Any) -> str | None:
    try:
        if isinstance(text, str):
            ip_network(text)
            return None
    except ValueError:
        pass
    return f"{text!r} is no network: write one such as 10.0.0.0/8, with no bits set behind the mask"


def _prefix_problems(path: str, prefixes: Any) -> Iterator[Problem]:
    if not isinstance(prefixes, Mapping) or len(prefixes) > MAX_PREFIXES:
        message = f"must be an object of at most {MAX_PREFIXES} entries, such as {{'/acme': 3}}"
        yield Problem(field=path, message=message)
        return
    for prefix, cell_id in prefixes.items():
        if not isinstance(prefix, str):
            yield Problem(field=path, message=f"{prefix!r} is no prefix: write a path, such as /acme")
        elif message := prefix_problem(prefix) or "":
            yield Problem(field=path, message=message)
        if not isinstance(cell_id, int) or isinstance(cell_id, bool) or not 1 <= cell_id <= MAX_ID:
            yield Problem(field=f"{path}[{prefix!r}]", message=f"{cell_id!r} is no cell: write its id")
