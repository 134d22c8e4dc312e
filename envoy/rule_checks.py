"""What a rule's entry in a document must hold: names, networks, prefixes, cookies; each problem with its fix.

`ruleset_parser` asks before it makes a rule of it. It knows no cell. `Request -> ClassificationKey ->
Decision`: before the first request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Final

from envoy.edge import INTERNAL_HEADERS
from envoy.paths import prefix_problem
from topology.model import MAX_ID, Problem

MAX_PREFIXES: Final = 10_000

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_IDENTITY: Final = re.compile(
    r"[!-+.-~\-]{1,255}\Z"
)  # printable, and no comma: Envoy lists several with commas
_KEPT_HEADERS: Final = frozenset(
    {"authorization", "connection", "content-length", "cookie", "host", "te", "transfer-encoding", "upgrade"}
)
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "override": frozenset({"header", "networks", "identities", "until"}),
    "path_prefix": frozenset({"prefixes"}),
    "session_cookie": frozenset({"cookie"}),
    "default": frozenset(),
}


def rule_problems(path: str, entry: Mapping[str, Any], schema: int) -> Iterator[Problem]:
    """Judge one entry; of a rule of type match the name only, for `match_parser` judges the rest."""
    name, kind = entry.get("name"), entry.get("type")
    if not isinstance(name, str) or not _NAME.match(name):
        message = f"{name!r} is no name: use 1 to 32 of a-z, 0-9, - and _, such as session"
        yield Problem(field=f"{path}.name", message=message)
    kinds = (*FIELDS, "match") if schema > 1 else tuple(FIELDS)
    if not isinstance(kind, str) or kind not in kinds:
        message = f"{kind!r} is no type of rule: use one of {', '.join(kinds)}"
        yield Problem(field=f"{path}.type", message=message)
        return
    if kind == "match":
        return
    known = FIELDS[kind] | {"name", "type"}
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
    if (until := entry.get("until")) is not None and not _is_moment(until):
        message = f"{until!r} is no moment: write it in quotes with its zone, such as '2026-03-01T12:00:00Z'"
        yield Problem(field=f"{path}.until", message=message)
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


def _is_moment(text: Any) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


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
