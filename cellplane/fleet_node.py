"""One node of this replica, told as JSON: how each type stands, since when, and what is held of it.

Read from the live `Fleet` by the reporter and the pages; `fleet_record` is how others read it (`Snapshot ->
Response`, on its way back). Pure: it asks no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cellplane.fleet_record import NOT_SENT, REJECTED, STALE, SYNCED
from cellplane.wave_record import is_canary
from xds.hold_book import NodeHold
from xds.node_status import NodeStatus, TypeStatus

MOST_WORDS: Final = 1000
"""Of what an Envoy says to a rejection this much is kept, and of the names that it blames the next."""
MOST_NAMES: Final = 20


def node_body(node: NodeStatus, holds: Iterable[NodeHold]) -> dict[str, Any]:
    """Return a node's JSON form with how each type stands and what is held of it."""
    held = [_hold(hold) for hold in holds]
    for_all = {hold["type"] for hold in held}
    alone = {hold["type"] for hold in held if hold["scope"] == "node"}
    body = node.to_json()
    for kind, status in node.types.items():
        state, since = type_state(node, status, rejects=kind.name in alone, misses=kind.name in for_all)
        body["types"][kind.name] |= {"state": state, "since": since, "last_nack": _nack(status)}
    body["held"] = held
    body["canary"] = is_canary(node.node)
    return body


def type_state(node: NodeStatus, status: TypeStatus, *, rejects: bool, misses: bool) -> tuple[str, float]:
    """Say how one type stands at a node, and since when in Unix seconds.

    `rejects`: a version of the type that it is to have is held for this node alone; `misses`: for anybody.
    """
    nack = status.last_nack
    is_last = nack is not None and nack.version == status.sent_version
    if nack is not None and (rejects or (is_last and (misses or node.settled_at < nack.at))):
        return REJECTED, nack.at
    if not status.responses_sent:
        asked = status.subscribed or status.wildcard
        return (
            (SYNCED, node.connected_at) if asked and node.settled_revision else (NOT_SENT, node.connected_at)
        )
    if is_last:
        # What it rejected was taken back, and it has all that it is to have without another word.
        return SYNCED, node.settled_at
    if status.acked_version == status.sent_version:
        return SYNCED, status.acked_at
    return STALE, status.sent_at


def _nack(status: TypeStatus) -> dict[str, Any] | None:
    nack = status.last_nack
    if nack is None:
        return None
    return {
        "at": nack.at,
        "version": nack.version,
        "names": list(nack.names[:MOST_NAMES]),
        "message": nack.message[:MOST_WORDS],
    }


def _hold(hold: NodeHold) -> dict[str, Any]:
    return {
        "type": hold.key[0].name,
        "name": hold.key[1],
        "version": hold.version,
        "message": hold.message[:MOST_WORDS],
        "scope": "group" if hold.for_group else "node",
    }
