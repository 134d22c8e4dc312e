"""The sidecars of each cell, on record: how far each has come, whether it is connected, and since when.

Control planes write them, beside the topology's keys: no View changes because a sidecar acknowledged
something. A transfer reads them, and waits for all of its source, also for those that are cut off. Pure.
Beside `Snapshot -> Response`, on its way back.

    /cellplane/v1-sidecars/4/pod-7f3a
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.parse import quote, unquote

from topology.documents import plan_document
from topology.keys import Keyspace
from topology.model import Problem, Stamp
from topology.plan import Outcome, Plan, Refusal
from topology.store import Record
from topology.view import View

SCHEMA: Final = 1
FORGOTTEN: Final = "sidecars-forgotten"
"""The kind of documents that say which sidecars are stopped for good."""
NOBODY: Final[Mapping[str, str]] = {}


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


def forgotten_name(cell_id: int, node: str) -> str:
    """Name the document that says that a sidecar is stopped for good."""
    return f"{cell_id}/{node}"


def plan_forgetting_sidecar(view: View, name: str, body: Mapping[str, Any] | None, stamp: Stamp) -> Outcome:
    """Plan that a sidecar is waited for no more, or without a body that it is again."""
    cell, _, node = name.partition("/")
    if not cell.isdecimal() or not node:
        message = f"{name!r}: name a sidecar with its cell, like 4/pod-1"
        return Refusal(problems=(Problem(field="name", message=message),))
    if not stamp.reason.strip():
        message = "is empty: say how you know that it is stopped"
        return Refusal(problems=(Problem(field="reason", message=message),))
    outcome = plan_document(view, FORGOTTEN, name, None if body is None else {}, stamp)
    words = f"sidecar {node} of cell {cell}: {'waited for again' if body is None else 'waited for no more'}"
    return replace(outcome, summary=(words,)) if isinstance(outcome, Plan) else outcome


def unacknowledged(
    sidecars: Iterable[Sidecar], revision: int, forgotten: Mapping[str, str] = NOBODY
) -> tuple[str, ...]:
    """Name those that have not acknowledged a revision; of one that is cut off, since when.

    `forgotten`: since when whoever is waited for no more is that, by their documents' names. One that came
    again afterwards counts.
    """
    return tuple(
        each.node if each.connected else f"{each.node} (cut off since {each.at or 'an unknown time'})"
        for each in sidecars
        if (each.behind or each.settled < revision)
        and forgotten.get(forgotten_name(each.cell_id, each.node), "") <= each.at
    )
