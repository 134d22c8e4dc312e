"""The records that make pushes safe across restarts and replicas: the last good counts, what is held, what
was released, and whether all is frozen.

The publisher writes `good` and `held` and reads `released` and `frozen`; `cellplane pushes` lists `held` and
writes the others. Pure: documents in, values out. They are opaque documents to the topology package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from topology.model import Document, Problem, Stamp
from topology.planning import Outcome, Plan, Refusal, plan_document
from topology.view import View

EDGE = "edge"
GOOD = "pushes-good"
HELD = "pushes-held"
RELEASED = "pushes-released"
FROZEN = "pushes-frozen"
EVERYTHING = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPush:
    """A snapshot that was not sent. `id` follows from the group and what is left of what was lost, so every
    replica names it alike.
    """

    id: str
    group: str
    revision: int
    reason: str
    clusters_before: int
    clusters_after: int
    held_at: str
    routes_before: int = 0
    routes_after: int = 0

    def body(self) -> dict[str, Any]:
        """Return the document's body."""
        return {
            "id": self.id,
            "group": self.group,
            "revision": self.revision,
            "reason": self.reason,
            "clusters_before": self.clusters_before,
            "clusters_after": self.clusters_after,
            "held_at": self.held_at,
            "routes_before": self.routes_before,
            "routes_after": self.routes_after,
        }


def push_id(group: str, left: Iterable[str]) -> str:
    """Return the id of a push that leaves a group with these clusters or routes: 8 hex digits."""
    text = "\n".join([group, *sorted(left)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def good_counts(view: View, group: str) -> tuple[int, int] | None:
    """Return how many clusters and routes the last good snapshot of a group had, None where none was ever
    published. Routes were not always counted.
    """
    document = view.documents.get((GOOD, group))
    clusters = _count(document, "clusters")
    return None if clusters is None else (clusters, _count(document, "routes") or 0)


def held_pushes(view: View) -> tuple[HeldPush, ...]:
    """Return what is held now, by group; a document that is not ours to read is left out."""
    found = []
    for (kind, _), document in sorted(view.documents.items()):
        if kind == HELD and (push := _held(document.body)) is not None:
            found.append(push)
    return tuple(found)


def is_released(view: View, identity: str) -> bool:
    """Say whether an operator released this push."""
    return (RELEASED, identity) in view.documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Nothing goes out, since when, by whom and why."""

    by: str
    at: str
    reason: str

    def body(self) -> dict[str, str]:
        """Return what pages say of it."""
        return {"by": self.by, "at": self.at, "reason": self.reason}

    def __str__(self) -> str:
        return f"frozen by {self.by} at {self.at}: {self.reason}"


def frozen_of(view: View) -> Frozen | None:
    """Say whether pushes are frozen. The record's being there says it, whatever it holds."""
    document = view.documents.get((FROZEN, EVERYTHING))
    if document is None:
        return None
    stamp = document.stamp
    return Frozen(by=stamp.updated_by, at=stamp.updated_at, reason=stamp.reason)


def plan_freeze(view: View, stamp: Stamp) -> Outcome:
    """Plan that nothing goes out to any Envoy until pushes are resumed. Who freezes says why."""
    if frozen := frozen_of(view):
        return _refused(f"pushes are {frozen}; nothing is to be done")
    if not stamp.reason.strip():
        return _refused("is empty: say why nothing may go out", "reason")
    words = "FREEZE: nothing goes out to any Envoy until `cellplane pushes resume`"
    return _told(plan_document(view, FROZEN, EVERYTHING, {}, stamp), words)


def plan_resume(view: View, stamp: Stamp) -> Outcome:
    """Plan that what waits goes out, and whatever comes after."""
    if frozen_of(view) is None:
        return _refused("pushes are not frozen; nothing is to be done")
    return _told(plan_document(view, FROZEN, EVERYTHING, None, stamp), "resume: what waits goes out")


def _told(outcome: Outcome, words: str) -> Outcome:
    return replace(outcome, summary=(f"pushes: {words}",)) if isinstance(outcome, Plan) else outcome


def _refused(message: str, field: str = "freeze") -> Refusal:
    return Refusal(problems=(Problem(field=field, message=message),))


def _count(document: Document | None, name: str) -> int | None:
    count = document.body.get(name) if document else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _held(body: Mapping[str, Any]) -> HeldPush | None:
    try:
        return HeldPush(
            id=str(body["id"]),
            group=str(body["group"]),
            revision=int(body["revision"]),
            reason=str(body["reason"]),
            clusters_before=int(body["clusters_before"]),
            clusters_after=int(body["clusters_after"]),
            held_at=str(body["held_at"]),
            routes_before=int(body.get("routes_before", 0)),
            routes_after=int(body.get("routes_after", 0)),
        )
    except (KeyError, TypeError, ValueError):
        return None
