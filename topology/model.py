"""What the store holds, as values: cells, tombstones of removed cells, documents that topology does not read.

The codec makes them from bytes, the View hands them on, planning changes them by making new ones. They know
no key, no store and no clock. `etcd Event -> View -> Snapshot -> Response`: what a View is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from topology import forms

MAX_ID: Final = 2**31 - 1
MAX_WEIGHT: Final = 100_000  # Envoy sums weights in 32 bits: leaves room for 40,000 cells
MAX_SEQUENCE: Final = 2**57 - 1  # 64 bits less the sign and six that GitLab's model reserves
MAX_DRAIN_SECONDS: Final = 30 * 24 * 3600
PROTOCOLS: Final = ("web", "registry", "ssh", "kas", "pages")


class CellState(StrEnum):
    """Where a cell is in its life; what each means and where it leads is the table in `lifecycle`."""

    PROVISIONING = "PROVISIONING"
    CANARY = "CANARY"
    ACTIVE = "ACTIVE"
    CORDONED = "CORDONED"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"
    DECOMMISSIONED = "DECOMMISSIONED"
    QUARANTINED = "QUARANTINED"


QUARANTINABLE: Final = (CellState.CANARY, CellState.ACTIVE, CellState.CORDONED, CellState.DRAINING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong: the field as a path (`endpoints[1].port`), and a message that names the fix."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place where a cell answers.

    All endpoints of a cell are IP literals, or all are DNS names: Envoy's EDS takes IP literals only, so a
    cell of names becomes a cluster that resolves them, and one cluster is either the one or the other. A
    weight of 0 takes the endpoint out of service and keeps it on record.
    """

    host: str
    port: int
    zone: str = ""
    weight: int = 1

    @property
    def is_ip(self) -> bool:
        """Tell whether EDS can carry the host as it is."""
        return forms.is_ip(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRange:
    """The ids that a cell may hand out, both ends included."""

    minval: int
    maxval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Since when a cell drains (RFC 3339, UTC), and over how many seconds its unowned weight goes to zero."""

    started_at: str
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Who wrote a record, when (RFC 3339, UTC), and why."""

    updated_by: str
    updated_at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One independent deployment of the application, as the store knows it.

    `weight` divides only what nobody owns. `epoch` is the cell's own generation. `capacity` 0 means: not
    limited. `previous_state` says where a quarantined cell came from; `drain` is there while it drains.
    """

    id: int
    name: str
    state: CellState
    addresses: Mapping[str, str] = field(default_factory=dict, hash=False)
    endpoints: tuple[Endpoint, ...]
    http2: bool = False
    session_prefix: str = ""
    sequence_ranges: tuple[SequenceRange, ...] = ()
    capacity: int = 0
    weight: int = 100
    ring: int = 0
    region: str = ""
    epoch: int = 1
    drain: Drain | None = None
    previous_state: CellState | None = None
    stamp: Stamp

    def __post_init__(self) -> None:
        object.__setattr__(self, "addresses", MappingProxyType(dict(self.addresses)))
        if not self.session_prefix:
            object.__setattr__(self, "session_prefix", f"cell-{self.id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """The tombstone of a removed cell: its id, session prefix and sequences are never given to another."""

    id: int
    name: str
    session_prefix: str
    sequence_ranges: tuple[SequenceRange, ...]
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON object kept for others (rules, held pushes), which topology does not read and nobody edits."""

    kind: str
    name: str
    body: Mapping[str, Any] = field(hash=False)
    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """An owner whose claims left a cell: where from, where to, and the epoch that holds since then.

    Only the last one of an owner is kept: it is gone from every cell but `to_cell`. An owner is spelled like
    ORGANIZATION/42, as the subject of its claims.
    """

    owner: str
    from_cell: int
    to_cell: int
    epoch: int
    stamp: Stamp

    @property
    def at(self) -> str:
        """When it left (RFC 3339, UTC)."""
        return self.stamp.updated_at
