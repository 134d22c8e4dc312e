"""The sidecars of each cell, on record: how far each has come, whether it is connected, and since when.

Control planes write them, beside the topology's keys: no View changes because a sidecar acknowledged
something. A transfer reads them, and waits for all of its source, also for those that are cut off. Pure.
Beside `Snapshot -> Response`, on its way back.

    /cellplane/v1-sidecars/4/pod-7f3a
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from urllib.parse import quote, unquote

from topology.keys import Keyspace
from topology.store import Record

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """One sidecar. `settled`: it acknowledged all of this revision, and of every one before. `behind`: it
    rejected something, so that its word counts for nothing. `at` is when it came or went (RFC 3339, UTC).
    """

    node: str
    cell_id: int
    settled: int
    connected: bool
    behind: bool
    at: str
    replica: str


@dataclass(frozen=True, slots=True)
class SidecarKeys:
    """The keys of sidecars."""

    root: str

    @classmethod
    def beside(cls, keyspace: Keyspace) -> SidecarKeys:
        """Give the keys beside those of a topology."""
        return cls(f"{keyspace.prefix}-sidecars/")

    def of_cell(self, cell_id: int) -> str:
        """Spell what the keys of a cell's sidecars begin with."""
        return f"{self.root}{cell_id}/"

    def sidecar(self, cell_id: int, node: str) -> str:
        """Spell the key of a sidecar; its node id may hold anything."""
        return f"{self.of_cell(cell_id)}{quote(node, safe='')}"

    def read(self, record: Record) -> Sidecar:
        """Read a record. One that can't be read is a sidecar that is behind: nobody may pass it by."""
        cell, _, node = record.key.removeprefix(self.root).partition("/")
        try:
            body = json.loads(record.value)
            schema, found = body.pop("schema"), Sidecar(**body)
            fits = (schema, str(found.cell_id), quote(found.node, safe="")) == (SCHEMA, cell, node)
            if fits and isinstance(found.settled, int):
                return found
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        return Sidecar(
            node=unquote(node),
            cell_id=int(cell) if cell.isdecimal() else 0,
            settled=0,
            connected=False,
            behind=True,
            at="",
            replica="",
        )


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """Write a record."""
    return json.dumps({"schema": SCHEMA, **asdict(sidecar)}, sort_keys=True).encode()


def unacknowledged(sidecars: Iterable[Sidecar], revision: int) -> tuple[str, ...]:
    """Name those that have not acknowledged a revision; of one that is cut off, since when."""
    return tuple(
        each.node if each.connected else f"{each.node} (cut off since {each.at or 'an unknown time'})"
        for each in sidecars
        if each.behind or each.settled < revision
    )
