"""The reference evaluator: what a request is, and which cell the rules send it to.

It says in plain Python what the generated route table makes Envoy do; `tests/integration` sends the same
requests through both. Commands use it to explain a request; it is never on the path of one. It draws no lots:
where weights divide, it names the candidates. `Request -> ClassificationKey -> Decision`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from envoy.paths import normalise, under
from envoy.ruleset import (
    DefaultRule,
    OverrideRule,
    PathPrefixRule,
    Rule,
    Ruleset,
    SessionCookieRule,
)
from envoy.standing import Access, Standing, cluster_name, standing
from topology.view import View

_COOKIE_SEPARATOR = re.compile(r"[;,]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the edge sees of a request: the direct peer, and the names in its verified certificate, if any.

    Headers are as sent, in order, a name more than once where it was; text is latin-1, as HTTP has it.
    """

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    peer: str = ""
    identities: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """Give a header's value as Envoy matches it: several are joined with commas."""
        values = [value.strip(" \t") for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None


class Outcome(StrEnum):
    """What comes of a request: a cell, or an answer of the edge's own."""

    ROUTED = "ROUTED"
    QUARANTINED = "QUARANTINED"
    NO_CELL = "NO_CELL"
    REJECTED = "REJECTED"
    """Envoy refuses the request's path, before any rule."""


class Skip(StrEnum):
    """Why a rule that had something to say was passed over. Envoy counts each by rule."""

    UNKNOWN = "unknown"
    """It names no cell that serves."""
    AMBIGUOUS = "ambiguous"
    """The session cookie came more than once: which of them the application would read is not ours to say."""
    REFUSED = "refused"
    """An override by somebody who may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which rule decided, for which cell, and what was passed over on the way.

    `cell` is None where no cell is meant, or where weights divide: `candidates` has each with its weight.
    """

    outcome: Outcome
    rule: str = ""
    cell: int | None = None
    candidates: tuple[tuple[int, int], ...] = ()
    skips: tuple[tuple[str, Skip], ...] = ()

    @property
    def fell_through(self) -> tuple[str, ...]:
        """Name the rules that were passed over."""
        return tuple(name for name, _ in self.skips)


def decide(
    ruleset: Ruleset, view: View, request: Request, now: datetime, *, merge_slashes: bool = True
) -> Decision:
    """Say where the edge sends a request. `merge_slashes` is as in the edge's settings."""
    path = normalise(request.path, merge_slashes=merge_slashes)
    if path is None:
        return Decision(outcome=Outcome.REJECTED)
    standings = {cell_id: standing(cell, now) for cell_id, cell in view.cells.items()}
    skips: list[tuple[str, Skip]] = []
    for rule in ruleset.rules:
        found = _ask(rule, standings, request, path)
        if isinstance(found, Decision):
            return Decision(
                outcome=found.outcome,
                rule=rule.name,
                cell=found.cell,
                candidates=found.candidates,
                skips=tuple(skips),
            )
        if found is not None:
            skips.append((rule.name, found))
    raise AssertionError("a ruleset ends with its default, which answers everything")


def _ask(rule: Rule, standings: dict[int, Standing], request: Request, path: str) -> Decision | Skip | None:
    match rule:
        case OverrideRule():
            return _override(rule, standings, request)
        case PathPrefixRule():
            return _path(rule, standings, path)
        case SessionCookieRule():
            return _session(rule, standings, request)
        case DefaultRule():
            return _default(standings)


def _override(rule: OverrideRule, standings: dict[int, Standing], request: Request) -> Decision | Skip | None:
    value = request.header(rule.header)
    if not value:
        return None
    if not _may_override(rule, request):
        return Skip.REFUSED
    for known in standings.values():
        if cluster_name(known.cell_id) == value:
            return _at(known.cell_id, known.override)
    return Skip.UNKNOWN


def _may_override(rule: OverrideRule, request: Request) -> bool:
    if set(rule.identities) & set(request.identities):
        return True
    if not request.peer:
        return False
    peer = ip_address(request.peer)
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in network for network in rule.networks)


def _path(rule: PathPrefixRule, standings: dict[int, Standing], path: str) -> Decision | Skip | None:
    prefix = max((prefix for prefix in rule.prefixes if under(prefix, path)), key=len, default=None)
    if prefix is None:
        return None
    known = standings.get(rule.prefixes[prefix])
    return _at(known.cell_id, known.owned) if known else Skip.UNKNOWN


def _session(
    rule: SessionCookieRule, standings: dict[int, Standing], request: Request
) -> Decision | Skip | None:
    values = tuple(_cookies(request.header("cookie") or "", rule.cookie))
    if len(values) > 1:
        return Skip.AMBIGUOUS
    for value in values:
        for known in standings.values():
            if value.startswith(f"{known.session_prefix}-"):
                return _at(known.cell_id, known.owned)
        return Skip.UNKNOWN
    return None


def _cookies(header: str, name: str) -> Iterator[str]:
    for pair in _COOKIE_SEPARATOR.split(header):
        key, equals, value = pair.lstrip(" \t").partition("=")
        if equals and key == name:
            yield value


def _default(standings: dict[int, Standing]) -> Decision:
    candidates = tuple((known.cell_id, known.weight) for known in standings.values() if known.weight > 0)
    if not candidates:
        return Decision(outcome=Outcome.NO_CELL)
    cell = candidates[0][0] if len(candidates) == 1 else None
    return Decision(outcome=Outcome.ROUTED, cell=cell, candidates=candidates)


def _at(cell_id: int, access: Access) -> Decision | Skip:
    if access is Access.CLOSED:
        return Skip.UNKNOWN
    outcome = Outcome.ROUTED if access is Access.OPEN else Outcome.QUARANTINED
    return Decision(outcome=outcome, cell=cell_id)
