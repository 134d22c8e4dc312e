"""Records that are kept out of the View: which, and why.

The View holds them, pages and commands show them, `saved` keeps them. It decides nothing.
`etcd Event -> View -> Snapshot -> Response`: what of an Event never gets further.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from topology.model import Cell, Retired


class QuarantineKind(StrEnum):
    """Why a record is kept out: few enough to label a metric with."""

    UNDECODABLE = "undecodable"
    CONTRADICTION = "contradiction"
    UNKNOWN_KEY = "unknown_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A record that is kept out. `raw` holds its first bytes; `record` is there if they could be read.

    A key without a meaning counts too: something writes below our prefix that nobody knows of, and a misspelt
    key is as lost as a misspelt record.
    """

    key: str
    kind: QuarantineKind
    reason: str
    create_revision: int
    mod_revision: int
    raw: bytes
    record: Cell | Retired | None = None
