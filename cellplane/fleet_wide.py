"""The whole fleet: this replica's own Envoys as they are, and every other replica's as it last told.

Pages and the console ask it; it lists the store on demand and keeps what did not change since
(`Snapshot -> Response`, on its way back). It writes nothing. Without a store it still answers for its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cellplane.fleet_node import node_body
from cellplane.fleet_record import NodeRecord, decode_part
from cellplane.operation_keys import FleetKeys
from topology.errors import StoreError
from topology.store import Record, Store
from xds.hold_book import HoldBook
from xds.status import Fleet

FRESH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRecord:
    """What a replica says of itself. `written_at` is when, in Unix seconds by its own clock; None: now."""

    name: str
    lease: str
    revision: int
    body: Mapping[str, Any]
    written_at: float | None

    def to_json(self) -> dict[str, Any]:
        return {**self.body, "lease": self.lease, "written_at": self.written_at}


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFleet:
    """All replicas and all nodes; a node that two replicas know is the one's where it connected last.

    `problem` says why it may not be all.
    """

    replicas: tuple[ReplicaRecord, ...]
    nodes: tuple[NodeRecord, ...]
    problem: str = ""

    @property
    def revision(self) -> int:
        """The newest revision that any replica published."""
        return max((replica.revision for replica in self.replicas), default=0)

    def to_json(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "replicas": [replica.to_json() for replica in self.replicas],
            "nodes": [node.to_json() for node in self.nodes],
            "problem": self.problem or None,
        }


class FleetReader:
    """Read the whole fleet. `about` and `lease` are those of this replica's own reporter."""

    def __init__(
        self,
        store: Store,
        keys: FleetKeys,
        fleet: Fleet,
        holds: HoldBook,
        about: Callable[[], Mapping[str, Any]],
        lease: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keys = keys
        self._fleet = fleet
        self._holds = holds
        self._about = about
        self._lease = lease
        self._clock = clock
        self._decoded: dict[str, tuple[int, Any]] = {}
        self._told: list[tuple[ReplicaRecord, list[NodeRecord]]] = []
        self._problem = ""
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def read(self) -> WholeFleet:
        """Give the fleet as it is now; what others told is at most half a second older than they wrote it."""
        async with self._reading:
            if self._clock() - self._read_at >= FRESH_SECONDS:
                await self._read()
                self._read_at = self._clock()
        told = [self._own(), *self._told]
        nodes: dict[str, NodeRecord] = {}
        for _, theirs in told:
            for node in theirs:
                known = nodes.get(node.id)
                if known is None or node.connected_at > known.connected_at:
                    nodes[node.id] = node
        return WholeFleet(
            replicas=tuple(replica for replica, _ in told),
            nodes=tuple(nodes[each] for each in sorted(nodes)),
            problem=self._problem,
        )

    def _own(self) -> tuple[ReplicaRecord, list[NodeRecord]]:
        replica = _replica(f"{self._lease():x}", self._about())
        bodies = (
            node_body(node, self._holds.at_node(node.group, node.node.id)) for node in self._fleet.nodes()
        )
        return replica, _nodes(replica, bodies)

    async def _read(self) -> None:
        try:
            listing = await self._store.list(self._keys.root)
        except StoreError as error:
            # What was told before would be older than a reader is promised.
            self._told = []
            self._problem = f"etcd cannot be read ({error}): other replicas and their Envoys are not shown"
            return
        self._problem = ""
        try:
            self._told = await asyncio.to_thread(self._fold, listing.records)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._told = []
            self._problem = f"what another replica wrote below {self._keys.root} cannot be read: {error}"

    def _fold(self, records: tuple[Record, ...]) -> list[tuple[ReplicaRecord, list[NodeRecord]]]:
        own = f"{self._lease():x}"
        abouts: dict[str, Any] = {}
        parts: dict[str, list[Any]] = {}
        fresh: dict[str, tuple[int, Any]] = {}
        for record in records:
            parsed = self._keys.parse(record.key)
            if parsed is None or parsed[0] == own:
                continue
            lease, is_about = parsed
            known = self._decoded.get(record.key)
            if known is None or known[0] != record.mod_revision:
                value = json.loads(record.value) if is_about else decode_part(record.value)
                known = (record.mod_revision, value)
            fresh[record.key] = known
            if is_about:
                abouts[lease] = known[1]
            else:
                parts.setdefault(lease, []).extend(known[1])
        self._decoded = fresh
        told = []
        for lease, about in abouts.items():
            replica = _replica(lease, about)
            told.append((replica, _nodes(replica, parts.get(lease, ()))))
        return told


def _replica(lease: str, about: Mapping[str, Any]) -> ReplicaRecord:
    body = {name: value for name, value in about.items() if name != "written_at"}
    written_at = about.get("written_at")
    return ReplicaRecord(
        name=str(about["replica"]),
        lease=lease,
        revision=int(about["revision"] or 0),
        body=body,
        written_at=None if written_at is None else float(written_at),
    )


def _nodes(replica: ReplicaRecord, bodies: Any) -> list[NodeRecord]:
    return [NodeRecord(body=body, replica=replica.name, target=replica.revision) for body in bodies]
