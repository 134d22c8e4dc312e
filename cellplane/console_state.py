"""What the console shows of this moment, as one JSON document: notices, cells with share and health, the
fleet.

The pages hand in the View, the fleet of all replicas and what /readyz says; the browser only draws. Pure:
values in, JSON out (`etcd Event -> View -> Snapshot -> Response`, shown).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from cellplane.console_actions import CELL_STATES
from cellplane.fleet_record import REJECTED, NodeRecord
from cellplane.fleet_report import Filter, holds, rejections, worst_first
from cellplane.fleet_wide import WholeFleet
from cellplane.held_versions import held_versions
from cellplane.views import quarantined_json
from envoy.standing import cluster_name
from topology.lifecycle import accepts_unowned, allowed_moves, ramp_left, serves, unowned_weight
from topology.model import Cell, CellState
from topology.view import View

MOST_NODES: Final = 50
_WORDS: Final = 300


def state_json(
    view: View | None,
    fleet: WholeFleet,
    readiness: Mapping[str, Any],
    wanted: Filter,
    now: datetime,
    most_nodes: int = MOST_NODES,
) -> dict[str, Any]:
    """Return the document. Without a View there are no cells, and a notice says why."""
    return {
        "now": now.timestamp(),
        "revision": readiness.get("revision"),
        "published_seconds_ago": readiness.get("published_seconds_ago"),
        "notices": list(_notices(view, readiness, fleet)),
        "cells": list(_cells(view, fleet, now)) if view is not None else [],
        "quarantined": [quarantined_json(each) for each in view.quarantined.values()] if view else [],
        "fleet": _fleet(fleet, wanted, most_nodes),
    }


def _notices(view: View | None, readiness: Mapping[str, Any], fleet: WholeFleet) -> Iterator[dict[str, Any]]:
    """Yield what whoever looks has to know, the worst first, with its id where one can act on it."""
    if not readiness["ready"]:
        yield _notice("not_ready", "Not ready", f"Envoys are refused; etcd: {readiness['etcd']}.")
    if frozen := readiness.get("frozen"):
        words = "Nothing goes out to any Envoy, endpoints and quarantines included."
        by = f"by {frozen['by']} at {_moment(frozen['at'])}: {frozen['reason']}"
        yield _notice("frozen", "Pushes are frozen", f"{by}. {words}")
    if held := readiness.get("held"):
        words = f"{held['reason']}. Nothing newer but quarantines goes out."
        yield _notice("held", f"Push {held['id']} is held", words, held["id"])
    yield from _wave_notice(readiness.get("wave") or {})
    missed = {(each["type"], each["name"]) for node in fleet.nodes for each in node.held}
    for version in held_versions(view) if view is not None else ():
        kind, name = version.record.key
        if (kind.name, name) not in missed:
            continue  # taken back since: it is never sent again, and nobody waits for it
        said = next(
            (one.message for known in version.record.versions.values() for one in known.rejections), ""
        )
        words = f"Envoy: {said[:_WORDS]}. The last good version stands."
        yield _notice("rejected", f"{kind.name} {name} was rejected", words, version.id)
    if readiness.get("stale"):
        yield _notice(
            "stale", "etcd is not followed", f"{readiness['etcd']}. What is shown may be out of date."
        )
    for refused in readiness.get("refused") or ():
        yield _notice("refused", "A Snapshot was refused", f"{refused}. The last good one stands.")
    for name, title in (
        ("rules_problem", "The ruleset cannot be read"),
        ("save_problem", "The last good state is not saved"),
        ("report_problem", "Other replicas are not told of these Envoys"),
    ):
        if problem := readiness.get(name):
            yield _notice(name, title, str(problem))
    if fleet.problem:
        yield _notice("fleet", "The fleet may not be complete", fleet.problem)


def _wave_notice(wave: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield how a wave stands that is under way or was halted."""
    if wave.get("state") == "HALTED":
        words = f"{wave['reason']}. All are back at the last good state; what is newer waits."
        yield _notice("wave_halted", f"The wave of push {wave['id']} is halted", words, wave["id"])
    if wave.get("state") == "GOING":
        share = f"of the {wave['percent']:g} % that it takes in now"
        words = f"{wave['nodes']} of {wave['of']} Envoys have it, {share}."
        yield _notice("wave_going", f"Push {wave['id']} goes out in waves", words, wave["id"])


def _moment(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"


def _notice(kind: str, title: str, text: str, identity: str = "") -> dict[str, Any]:
    return {"kind": kind, "title": title, "text": text, "id": identity}


def _cells(view: View, fleet: WholeFleet, now: datetime) -> Iterator[dict[str, Any]]:
    weights = {cell.id: unowned_weight(cell, now) for cell in view.cells.values()}
    whole = sum(weights.values())
    rejected = Counter(name for node in fleet.nodes for name in {str(hold["name"]) for hold in node.held})
    for cell in view.cells.values():
        problems = list(_problems(view, cell, rejected[cluster_name(cell.id)]))
        zones = sorted({each.zone for each in cell.endpoints if each.zone})
        moves = allowed_moves(cell.state, cell.previous_state)
        yield {
            "id": cell.id,
            "name": cell.name,
            "state": cell.state.value,
            "previous_state": cell.previous_state.value if cell.previous_state else None,
            "weight": weights[cell.id],
            "share": weights[cell.id] / whole if whole else 0.0,
            "drain_seconds_left": ramp_left(cell, now) if cell.state is CellState.DRAINING else None,
            "endpoints": len(cell.endpoints),
            "zones": zones,
            "region": cell.region,
            "updated_by": cell.stamp.updated_by,
            "updated_at": cell.stamp.updated_at,
            "reason": cell.stamp.reason,
            "problems": problems,
            "moves": [state.value for state in moves if state in CELL_STATES],
        }


def _problems(view: View, cell: Cell, rejected_by: int) -> Iterator[str]:
    """Yield what is wrong with a cell, as far as a control plane can know. Its endpoints Envoy checks."""
    if cell.state is CellState.QUARANTINED:
        yield "answers 503 to what it owns"
    if serves(cell.state) and not cell.endpoints:
        yield "has no endpoint"
    if accepts_unowned(cell.state) and not cell.weight:
        yield "weight 0: nothing new comes"
    if view.keyspace.cell(cell.id) in view.quarantined:
        yield "its record cannot be read: the last good one serves"
    if rejected_by:
        yield f"rejected by {rejected_by} Envoy{'' if rejected_by == 1 else 's'}"


def _fleet(fleet: WholeFleet, wanted: Filter, most: int) -> dict[str, Any]:
    matching = worst_first([node for node in fleet.nodes if wanted.takes(node)])
    return {
        "revision": fleet.revision,
        "nodes": len(fleet.nodes),
        "states": dict(Counter(node.state for node in fleet.nodes)),
        "groups": dict(Counter(node.group for node in fleet.nodes)),
        "envoys": dict(Counter(node.envoy or "unknown" for node in fleet.nodes)),
        "behind": sum(node.lag > 0 for node in fleet.nodes),
        "matching": len(matching),
        "shown": [_node(node) for node in matching[:most]],
        "replicas": [replica.to_json() for replica in fleet.replicas],
    }


def _node(node: NodeRecord) -> dict[str, Any]:
    said = [*holds(node), *rejections(node)] if node.state == REJECTED else []
    return {
        "id": node.id,
        "group": node.group,
        "region": node.region,
        "envoy": node.envoy,
        "replica": node.replica,
        "connected_at": node.connected_at,
        "state": node.state,
        "lag": node.lag,
        "types": {
            name: {"state": status["state"], "since": status["since"]} for name, status in node.types.items()
        },
        "problem": said[0][:_WORDS] if said else "",
    }
