"""One record of the topology that a push brought, as it is told and as it was before.

The diff of a push is made of these; the history keeps them and a roll-back reads them. Values alone (`View ->
Snapshot`, told).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from topology.model import Stamp

MOST_BYTES_BEFORE: Final = 16 * 1024
NO_STAMP: Final = Stamp(updated_by="", updated_at="", reason="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChange:
    """One record of the topology that changed. `before` is its JSON form; None: it was not there.

    `revision` is where it was written; 0 where it went. `has_before` is False where what was is too large to
    be kept.
    """

    record: str
    stamp: Stamp
    lines: tuple[str, ...]
    revision: int
    before: Mapping[str, Any] | None = None
    has_before: bool = True
