"""The fleet for people: a summary, a line per node, worst first, and one node in full.

The command prints what it makes of the records that a control plane's `/v1/fleet/all` gives. A type is
SYNCED, STALE (sent, not acknowledged), REJECTED (its last answer was a NACK, or a version is held for this
node) or NOT SENT. Pure: records in, rows out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cellplane.fleet_record import REJECTED, SYNCED, WORST_FIRST, NodeRecord

TYPE_COLUMNS: Final = ("TYPE", "STATE", "SINCE", "ASKED FOR", "SENT", "ACKED", "RESOURCES", "ACKS", "NACKS")
_FIXED_COLUMNS: Final = ("NODE", "GROUP", "REGION", "ENVOY", "REPLICA", "STREAM", "STATE", "LAG")
_ALWAYS_SHOWN: Final = ("cluster", "endpoint", "listener", "route")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which nodes to show; what is empty leaves all in. `type` narrows the state to that of one type."""

    group: str = ""
    region: str = ""
    state: str = ""
    type: str = ""
    node: str = ""

    def takes(self, node: NodeRecord) -> bool:
        """Say whether a node is to be shown. A node's name may be given in part."""
        if self.group and node.group != self.group:
            return False
        if self.region and node.region != self.region:
            return False
        if self.node and self.node not in node.id:
            return False
        if not self.type:
            return not self.state or node.state == self.state
        status = node.types.get(self.type)
        return status is not None and (not self.state or status["state"] == self.state)


@dataclass(frozen=True, slots=True)
class FleetTable:
    """Headings, a row per node, and the headings that a narrow terminal can do without, first to go first."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    may_drop: tuple[str, ...]


def worst_first(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Order nodes by how badly they stand, then by how far they are behind and by name."""
    return sorted(nodes, key=lambda node: (WORST_FIRST.index(node.state), -node.lag, node.id))


def summary(nodes: Sequence[NodeRecord], revision: int) -> list[str]:
    """Say how many nodes stand how, and of which Envoys they are where those differ."""
    counts = Counter(node.state for node in nodes)
    told = ", ".join(f"{counts[state]} {state}" for state in WORST_FIRST if counts[state])
    named = f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}"
    lines = [f"{named} at revision {revision}: {told or 'none is connected'}"]
    envoys = Counter(node.envoy or "unknown" for node in nodes)
    if len(envoys) > 1:
        mixed = ", ".join(f"{version} ({count})" for version, count in sorted(envoys.items()))
        lines.append(f"Envoy versions: {mixed}")
    return lines


def replica_lines(replicas: Sequence[Mapping[str, Any]], revision: int, now: float) -> list[str]:
    """Say how each control plane stands, where there are several."""
    if len(replicas) < 2:
        return []
    lines = []
    for replica in replicas:
        behind = revision - int(replica["revision"] or 0)
        told = replica["written_at"]
        lines.append(
            f"replica {replica['replica']}: {replica['nodes']} nodes, revision {replica['revision']}"
            + (f" ({behind} behind)" if behind > 0 else "")
            + ("" if replica["ready"] else ", NOT READY")
            + (", STALE" if replica["stale"] else "")
            + ("" if told is None else f", told {age(now - told)} ago")
        )
    return lines


def warnings(readiness: Mapping[str, Any]) -> list[str]:
    """Say what a reader of the fleet has to know of the control plane that told it."""
    told = []
    if not readiness.get("ready"):
        told.append(f"The control plane is not ready and refuses Envoys; etcd: {readiness.get('etcd')}.")
    if readiness.get("stale"):
        told.append(
            f"STALE: etcd is not followed ({readiness.get('etcd')}); the revision may be out of date."
        )
    if frozen := readiness.get("frozen"):
        told.append(
            f"FROZEN by {frozen['by']} at {frozen['at']} ({frozen['reason']}): nothing goes out to any "
            "Envoy, endpoints and quarantines included, until `cellplane pushes resume`."
        )
    if held := readiness.get("held"):
        told.append(
            f"HELD: push {held['id']} ({held['reason']}); nothing newer but quarantines goes out until it is "
            "released or the topology is mended. See `cellplane pushes held`."
        )
    told += wave_warning(readiness.get("wave"))
    told.extend(f"REFUSED: {refused}" for refused in readiness.get("refused") or ())
    if readiness.get("rules_problem"):
        told.append(f"RULES: the ruleset in the store cannot be read: {readiness['rules_problem']}.")
    if readiness.get("save_problem"):
        told.append(f"NOT SAVED: {readiness['save_problem']}.")
    if readiness.get("report_problem"):
        told.append(f"NOT REPORTED: {readiness['report_problem']}; other replicas do not see these Envoys.")
    return told


def wave_warning(wave: Mapping[str, Any] | None) -> list[str]:
    """Say that a wave is halted, or how far one has come."""
    match (wave or {}).get("state"):
        case "HALTED" if wave:
            ways = (
                "its records are mended (`cellplane pushes rollback`), it is tried again (`cellplane pushes "
                "waves retry`) or sent all the same (`cellplane pushes release`)"
            )
            reason = f"{wave['reason']}; all are back at the last good state"
            return [f"HALTED: push {wave['id']} ({reason}). What is newer waits until {ways}."]
        case "GOING" if wave:
            return [f"WAVE: push {wave['id']} is at {wave['nodes']} of {wave['of']} nodes."]
        case _:
            return []


def fleet_table(nodes: Sequence[NodeRecord], now: float) -> FleetTable:
    """Return a row per node, in the order given, with a column for each type that is in use."""
    used = {name for node in nodes for name in node.types}
    types = [name for name in _ALWAYS_SHOWN if name in used] + sorted(used - set(_ALWAYS_SHOWN))
    rows = []
    for node in nodes:
        states = (node.types.get(name) for name in types)
        rows.append(
            (
                node.id,
                node.group,
                node.region or "-",
                node.envoy or "-",
                node.replica,
                age(now - node.connected_at),
                node.state,
                str(node.lag),
                *("-" if one is None else f"{one['state']} {age(now - one['since'])}" for one in states),
            )
        )
    headings = tuple(name.upper() for name in types)
    drop = ("REPLICA", "REGION", "GROUP", *reversed(headings), "ENVOY", "STREAM")
    return FleetTable((*_FIXED_COLUMNS, *headings), rows, drop)


def type_rows(node: NodeRecord, now: float) -> list[tuple[str, ...]]:
    """Return a row per type of one node."""
    return [
        (
            name,
            status["state"],
            age(now - status["since"]),
            "all" if status["wildcard"] else str(status["subscribed"]),
            status["sent_version"] or "-",
            status["acked_version"] or "-",
            str(status["resources_sent"]),
            str(status["acks"]),
            str(status["nacks"]),
        )
        for name, status in sorted(node.types.items())
    ]


def rejections(node: NodeRecord) -> Sequence[str]:
    """Return each type's last rejection, in Envoy's words."""
    return [
        f"{name} {', '.join(nack['names']) or '(not named)'} at {nack['version']}: {nack['message']}"
        for name, status in sorted(node.types.items())
        if (nack := status["last_nack"]) is not None
    ]


def holds(node: NodeRecord) -> Sequence[str]:
    """Return what the node is not sent, and why, in Envoy's words."""
    return [
        f"{hold['type']} {hold['name']} {hold['version']} "
        f"({'whole group' if hold['scope'] == 'group' else 'this node'}): {hold['message']}"
        for hold in node.held
    ]


def unacknowledged(node: NodeRecord) -> list[tuple[str, str, str, str]]:
    """Return a row for whatever the node has not acknowledged: types that stand badly, and what is held."""
    rows = [
        (
            name,
            "-",
            status["state"],
            f"sent {status['sent_version'] or '-'}, acknowledged {status['acked_version'] or '-'}",
        )
        for name, status in sorted(node.types.items())
        if status["state"] != SYNCED
    ]
    rows += [(hold["type"], hold["name"], "HELD", hold["message"]) for hold in node.held]
    if node.lag:
        rows.append(("-", "-", "BEHIND", f"settled revision {node.settled_revision} of {node.target}"))
    return rows


def left_out(shown: Sequence[NodeRecord], nodes: Sequence[NodeRecord]) -> str:
    """Say what a shortened list does not show; empty where it shows all."""
    counts = Counter(node.state for node in nodes) - Counter(node.state for node in shown)
    if not counts:
        return ""
    told = ", ".join(f"{counts[state]} {state}" for state in WORST_FIRST if counts[state])
    return f"… and {len(nodes) - len(shown)} more ({told}); --all shows them."


def is_bad(nodes: Sequence[NodeRecord]) -> bool:
    """Say whether a node has rejected something: what the command's exit code tells."""
    return any(node.state == REJECTED for node in nodes)


def age(seconds: float) -> str:
    """Write a time span in its two largest units."""
    whole = max(0, int(seconds))
    for size, large, unit, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{large} {whole % size // unit}{small}"
    return f"{whole}s"
