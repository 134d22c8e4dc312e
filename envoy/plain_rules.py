"""Rules of the plain types, evaluated: override, path prefix, session cookie, default.

The evaluator asks them for a decision, why there is none, or nothing. `Request -> ClassificationKey ->
Decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from envoy.decision import Decision, Outcome
from envoy.match_rules import Skip
from envoy.paths import under
from envoy.request import Request
from envoy.ruleset import OverrideRule, PathPrefixRule, SessionCookieRule
from envoy.standing import Access, Standing, cluster_name


def overridden(
    rule: OverrideRule, standings: Mapping[int, Standing], request: Request
) -> Decision | Skip | None:
    """Say where an operator sends it, if one does and may."""
    value = request.header(rule.header)
    if not value:
        return None
    if not _may_override(rule, request):
        return Skip.REFUSED
    for known in standings.values():
        if cluster_name(known.cell_id) == value:
            return at_cell(known.cell_id, known.override)
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


def by_path(rule: PathPrefixRule, standings: Mapping[int, Standing], path: str) -> Decision | Skip | None:
    """Say which cell has the longest prefix of the path."""
    prefix = max((prefix for prefix in rule.prefixes if under(prefix, path)), key=len, default=None)
    if prefix is None:
        return None
    known = standings.get(rule.prefixes[prefix])
    return at_cell(known.cell_id, known.owned) if known else Skip.UNKNOWN


def by_session(
    rule: SessionCookieRule, standings: Mapping[int, Standing], request: Request
) -> Decision | Skip | None:
    """Say which cell made the session."""
    values = request.cookies(rule.cookie)
    if len(values) > 1:
        return Skip.AMBIGUOUS
    for value in values:
        for known in standings.values():
            if value.startswith(f"{known.session_prefix}-"):
                return at_cell(known.cell_id, known.owned)
        return Skip.UNKNOWN
    return None


def by_default(standings: Mapping[int, Standing]) -> Decision:
    """Say who takes what nobody owns."""
    candidates = tuple((known.cell_id, known.weight) for known in standings.values() if known.weight > 0)
    if not candidates:
        return Decision(outcome=Outcome.NO_CELL)
    cell = candidates[0][0] if len(candidates) == 1 else None
    cluster = "" if cell is None else cluster_name(cell)
    return Decision(outcome=Outcome.ROUTED, cell=cell, candidates=candidates, cluster=cluster)


def at_cell(cell_id: int, access: Access) -> Decision | Skip:
    """Say what meets a request at a cell."""
    if access is Access.CLOSED:
        return Skip.UNKNOWN
    outcome = Outcome.ROUTED if access is Access.OPEN else Outcome.QUARANTINED
    cluster = cluster_name(cell_id) if access is Access.OPEN else ""
    return Decision(outcome=outcome, cell=cell_id, cluster=cluster)
