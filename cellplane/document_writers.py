"""What must hold for a document that is written through the Topology Service, by its kind.

The composition root hands it to the service, which knows neither rules nor pushes. What is not listed here
only the control plane writes. Third road: a service call plans a `Txn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from cellplane.held_versions import REJECTED
from cellplane.push_rollback import ROLLBACK, plan_rollback
from cellplane.pushes import EVERYTHING, FROZEN, RELEASED, held_pushes, plan_freeze, plan_resume
from cellplane.rules_history import CURRENT, KIND, plan_rules
from cellplane.wave_orders import plan_order, plan_settings
from cellplane.wave_record import ORDER, SETTINGS
from envoy.certificates import KIND as CERTIFICATES
from envoy.certificates import NAME as EDGE_CERTIFICATE
from envoy.certificates import parse_certificates
from envoy.edge import EdgeTls
from envoy.rules import Ruleset, parse_ruleset
from envoy.shadow import KIND as SHADOW
from envoy.shadow import NAME as CANDIDATE
from envoy.shadow import Candidate, parse_candidate
from topology.model import Problem, Stamp
from topology.overrides import KIND as OVERRIDES
from topology.overrides import plan_override
from topology.planning import Outcome, Refusal, plan_document
from topology.service.documents_service import Writers
from topology.sidecars import FORGOTTEN, plan_forgetting_sidecar
from topology.view import View
from topology.zones import DRAINED_ZONES, plan_zone


def write_rules(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan another ruleset in force, which must hold; its history is kept beside it."""
    if name != CURRENT:
        return _refused("name", f"{name!r} is history: write {CURRENT!r}")
    if body is None:
        return _refused("name", "the ruleset in force is never deleted: write another one")
    ruleset = parse_ruleset(body)
    if not isinstance(ruleset, Ruleset):
        return Refusal(problems=tuple(ruleset))
    return plan_rules(view, body, stamp)


def release_push(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan the release of a snapshot that is held."""
    push = next((each for each in held_pushes(view) if each.id == name), None)
    if push is None:
        return _refused("name", f"no push {name!r} is held: name one that is")
    if body is None:
        return _refused("name", "a release is not taken back: the push has gone out")
    return plan_document(view, RELEASED, name, {"group": push.group, "revision": push.revision}, stamp)


def release_version(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan the end of what is held against a version that Envoys rejected."""
    if body is not None:
        return _refused("body", "what Envoys rejected only the control plane writes: delete it to release it")
    return plan_document(view, REJECTED, name, None, stamp)


def freeze_pushes(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan a freeze, or without a body its end."""
    if name != EVERYTHING:
        return _refused("name", f"{name!r} cannot be frozen alone: name {EVERYTHING!r}")
    return plan_resume(view, stamp) if body is None else plan_freeze(view, stamp)


def write_certificates(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan other certificate files for the edges, or without a body the end of these."""
    if name != EDGE_CERTIFICATE:
        return _refused("name", f"{name!r} are nobody's: write {EDGE_CERTIFICATE!r}")
    found = parse_certificates(body) if body is not None else None
    if found is not None and not isinstance(found, EdgeTls):
        return Refusal(problems=found)
    return plan_document(view, CERTIFICATES, name, body, stamp)


def write_candidate(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan a ruleset to be tried beside the one in force, or without a body its end."""
    if name != CANDIDATE:
        return _refused("name", f"{name!r} is none: write {CANDIDATE!r}")
    found = parse_candidate(body) if body is not None else None
    if found is not None and not isinstance(found, Candidate):
        return Refusal(problems=found)
    return plan_document(view, SHADOW, name, body, stamp)


def roll_back(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan the records of a push as they were before it."""
    return plan_rollback(view, name, body, stamp, _RESTORED)


_RESTORED: Final[Writers] = MappingProxyType(
    {
        CERTIFICATES: write_certificates,
        SHADOW: write_candidate,
        DRAINED_ZONES: plan_zone,
        OVERRIDES: plan_override,
    }
)
"""Documents whose pushes can be rolled back, besides rules."""
WRITERS: Final[Writers] = MappingProxyType(
    {
        **_RESTORED,
        KIND: write_rules,
        ROLLBACK: roll_back,
        FROZEN: freeze_pushes,
        RELEASED: release_push,
        REJECTED: release_version,
        SETTINGS: plan_settings,
        ORDER: plan_order,
        FORGOTTEN: plan_forgetting_sidecar,
    }
)


def _refused(field: str, message: str) -> Refusal:
    return Refusal(problems=(Problem(field=field, message=message),))
