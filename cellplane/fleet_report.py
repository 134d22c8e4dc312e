"""The fleet for people: a line per node, worst first, from what a control plane's `/v1/fleet` says.

The command prints it. A type is SYNCED, STALE (sent, not acknowledged), REJECTED (its last answer was a
NACK) or NOT SENT. Pure: JSON in, rows out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

FLEET_COLUMNS = ("NODE", "GROUP", "ENVOY", "STATE", "SETTLED", "BEHIND", "CONNECTED", "REJECTED")
TYPE_COLUMNS = ("TYPE", "STATE", "ASKED FOR", "SENT", "ACKED", "RESOURCES", "ACKS", "NACKS")
_WORST_FIRST = ("REJECTED", "STALE", "NOT SENT", "SYNCED")


def type_state(status: Mapping[str, Any]) -> str:
    """Say how one type stands at one node."""
    nack = status["last_nack"]
    if nack is not None and nack["version"] == status["sent_version"]:
        return "REJECTED"
    if not status["responses_sent"]:
        return "SYNCED" if status["subscribed"] or status["wildcard"] else "NOT SENT"
    return "SYNCED" if status["acked_version"] == status["sent_version"] else "STALE"


def node_state(node: Mapping[str, Any], revision: int) -> str:
    """Say how a node stands: as its worst type does, or STALE where it has not settled the revision."""
    states = {type_state(status) for status in node["types"].values()}
    if node["settled_revision"] < revision:
        states.add("STALE")
    return next((state for state in _WORST_FIRST if state in states), "NOT SENT")


def summary(fleet: Mapping[str, Any], revision: int) -> str:
    """Say in one line how many nodes stand how."""
    counts = Counter(node_state(node, revision) for node in fleet["nodes"])
    told = ", ".join(f"{counts[state]} {state}" for state in _WORST_FIRST if counts[state])
    nodes = f"{len(fleet['nodes'])} node{'' if len(fleet['nodes']) == 1 else 's'}"
    return f"{nodes} at revision {revision}: {told or 'none is connected'}"


def warnings(readiness: Mapping[str, Any]) -> list[str]:
    """Say what a reader of the fleet has to know of the control plane that told it."""
    told = []
    if not readiness.get("ready"):
        told.append(f"The control plane is not ready and refuses Envoys; etcd: {readiness.get('etcd')}.")
    if readiness.get("stale"):
        told.append(
            f"STALE: etcd is not followed ({readiness.get('etcd')}); the revision may be out of date."
        )
    if held := readiness.get("held"):
        told.append(
            f"HELD: push {held['id']} ({held['reason']}); nothing newer goes out until it is released or the "
            "topology is mended. See `cellplane pushes held`."
        )
    told.extend(f"REFUSED: {refused}" for refused in readiness.get("refused") or ())
    if readiness.get("rules_problem"):
        told.append(f"RULES: the ruleset in the store cannot be read: {readiness['rules_problem']}.")
    if readiness.get("save_problem"):
        told.append(f"NOT SAVED: {readiness['save_problem']}.")
    return told


def fleet_rows(fleet: Mapping[str, Any], revision: int, now: float) -> list[tuple[str, ...]]:
    """Return a row per node, worst first."""
    rows = []
    for node in fleet["nodes"]:
        state = node_state(node, revision)
        rejected = sorted(name for name, status in node["types"].items() if type_state(status) == "REJECTED")
        rows.append(
            (
                node["id"],
                node["group"],
                node["version"] or "-",
                state,
                str(node["settled_revision"]),
                str(max(0, revision - node["settled_revision"])),
                age(now - node["connected_at"]),
                ", ".join(rejected) or "-",
            )
        )
    return sorted(rows, key=lambda row: (_WORST_FIRST.index(row[3]), row[0]))


def type_rows(node: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row per type of one node."""
    return [
        (
            name,
            type_state(status),
            "all" if status["wildcard"] else str(status["subscribed"]),
            status["sent_version"] or "-",
            status["acked_version"] or "-",
            str(status["resources_sent"]),
            str(status["acks"]),
            str(status["nacks"]),
        )
        for name, status in sorted(node["types"].items())
    ]


def rejections(node: Mapping[str, Any]) -> Sequence[str]:
    """Return each type's last rejection, in Envoy's words."""
    return [
        f"{name} {', '.join(nack['names']) or '(not named)'} at {nack['version']}: {nack['message']}"
        for name, status in sorted(node["types"].items())
        if (nack := status["last_nack"]) is not None
    ]


def holds(node: Mapping[str, Any]) -> Sequence[str]:
    """Return what the node is not sent, and why, in Envoy's words."""
    return [
        f"{hold['type']} {hold['name']} {hold['version']} "
        f"({'whole group' if hold['scope'] == 'group' else 'this node'}): {hold['message']}"
        for hold in node.get("held", ())
    ]


def age(seconds: float) -> str:
    """Write a time span in its two largest units."""
    whole = max(0, int(seconds))
    for size, large, unit, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{large} {whole % size // unit}{small}"
    return f"{whole}s"
